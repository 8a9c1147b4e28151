/** `pmxcfs-ipc top`: shows the clients of a running server of ours and their requests. */
import { PVE_SERVICE } from "../base/paths.ts";
import { jsonText } from "../base/escape.ts";
import { statusPath } from "../observe/status.ts";
import { showLive } from "../tools/top/live.ts";
import { readStatus } from "../observe/read-status.ts";
import { screen } from "../tools/top/screen.ts";
import { type SortName, SORTS, type View, viewOf } from "../tools/top/view.ts";
import { flag, milliseconds, oneOf, path, text } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure, ExitCode, leave } from "./failure.ts";
import { print, stdoutRedraws, stdoutStyle } from "./terminal.ts";

const SORT_NAMES = Object.keys(SORTS) as SortName[];

/** The path of the server's status socket, as given or the default. */
function whereOf(values: { readonly socket: string; readonly status: string | undefined }): string {
  const found = values.status ?? statusPath(values.socket, process.env, process.getuid?.());
  if (found !== undefined) return found;
  throw new CommandFailure("XDG_RUNTIME_DIR is not set: give the status socket with --status");
}

/** Two readings, `intervalMs` apart, from which rates are computed. */
async function lookTwice(where: string, intervalMs: number): Promise<View> {
  const first = await readStatus(where);
  if (typeof first === "string") throw new CommandFailure(first);
  await Bun.sleep(intervalMs);
  const second = await readStatus(where);
  if (typeof second === "string") throw new CommandFailure(second);
  return viewOf(second, first);
}

/** One JSON object per reading, until stdout closes or the server ends. */
async function stream(where: string, intervalMs: number): Promise<never> {
  let last: Awaited<ReturnType<typeof readStatus>> | undefined;
  for (;;) {
    const status = await readStatus(where);
    if (typeof status === "string") throw new CommandFailure(status);
    print(`${jsonText(viewOf(status, typeof last === "string" ? undefined : last))}\n`);
    last = status;
    await Bun.sleep(intervalMs);
  }
}

export const topCommand = command({
  name: "top",
  summary: "Watch the connections of a running server of ours",
  details: [
    "Only root and the user of the server may watch it. Reads the server's status socket " +
      "(serve --status), which the original pmxcfs does not have.",
    "FC is the flow control level, Q the number of pending requests, BYTES counts both " +
      `directions. Keys: ${SORT_NAMES.map((name) => `${SORTS[name].key} ${name}`).join(", ")}, ` +
      "R reverse, q quit.",
  ],
  examples: [
    ["top --socket test", "the live screen"],
    ["top --once --sort errors", "the table once, for a file or a pipe"],
    ["top --json | jq .totals", "a JSON object every two seconds"],
  ],
  options: {
    socket: text({ description: "Service to watch", hint: "NAME", default: PVE_SERVICE }),
    status: path({
      description: "Path of the server's status socket",
      defaultText: "/run/pmxcfs-ipc/NAME.status for root, else below XDG_RUNTIME_DIR",
    }),
    interval: milliseconds({
      description: "Interval between two readings",
      default: 2000,
      min: 50,
    }),
    sort: oneOf(SORT_NAMES, { description: "Sort order", default: "requests" }),
    reverse: flag({ description: "Reverse the order (without the live screen)" }),
    once: flag({ description: "Print one screen; the default if stdout is not a terminal" }),
    json: flag({ description: "Print JSON: one object with --once, else one per reading" }),
    noColor: flag({ description: "No colours" }),
  },
  async run(values) {
    const where = whereOf(values);
    const { interval: intervalMs, sort, reverse } = values;
    const look = stdoutStyle(values.noColor);
    if (values.json && !values.once) await stream(where, intervalMs);
    if (values.json) {
      print(`${jsonText(await lookTwice(where, intervalMs), 2)}\n`);
      return ExitCode.OK;
    }
    if (values.once || !stdoutRedraws()) {
      const view = await lookTwice(where, intervalMs);
      const columns = process.stdout.isTTY ? process.stdout.columns : Infinity;
      const lines = screen(view, { columns, rows: undefined, sort, reverse, look });
      print(lines.map((line) => `${line.trimEnd()}\n`).join(""));
      return ExitCode.OK;
    }
    const first = await readStatus(where);
    if (typeof first === "string") throw new CommandFailure(first);
    await showLive({ read: () => readStatus(where), intervalMs, sort, look });
    return leave(ExitCode.OK);
  },
});
