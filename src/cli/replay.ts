/**
 * `pmxcfs-ipc replay`: serves the answers of a recording, or sends its requests to a server and
 * compares.
 */
import { errorText } from "../base/error-text.ts";
import { jsonText } from "../base/escape.ts";
import { readFileSync } from "node:fs";
import { accessOf } from "../daemon/access-rules.ts";
import { findGroup } from "../platform/groups.ts";
import { QbFailure } from "../client/failure.ts";
import { PVE_MESSAGE_BYTES } from "../base/limits.ts";
import { runService } from "../daemon/run-service.ts";
import { compareReplay } from "../tools/trace/compare-replay.ts";
import { readRecording, type Recording } from "../tools/trace/recording.ts";
import { Replayer } from "../tools/trace/replay.ts";
import { accessOptions, accessRules } from "./access-options.ts";
import { flag, list, path, text, type Values } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure, ExitCode, UsageFailure } from "./failure.ts";
import { Progress } from "./progress.ts";
import { requestIds } from "./request-words.ts";
import { logOf, serviceOptions, serviceSettings } from "./service-options.ts";
import { print } from "./terminal.ts";

const AGAINST = "Against a server";

const options = {
  ...serviceOptions,
  socket: text({ description: "Service name to serve the recording on", hint: "NAME" }),
  against: text({
    description: "Service to send the recorded requests to, for comparison",
    hint: "NAME",
    group: AGAINST,
  }),
  writes: flag({ description: "Send requests that change the server, too", group: AGAINST }),
  ignore: list({ description: "Requests to leave out", hint: "REQUEST", group: AGAINST }),
  json: flag({ description: "Print the comparison as one JSON object", group: AGAINST }),
  ...accessOptions,
} as const;

type Chosen = Values<typeof options>;

function load(file: string): Recording {
  let read: string;
  try {
    read = readFileSync(file, "utf8");
  } catch (error) {
    const why = errorText(error);
    throw new CommandFailure(`cannot read ${file}: ${why}`);
  }
  const recording = readRecording(read);
  if (typeof recording !== "string") return recording;
  throw new CommandFailure(`${file} cannot be replayed: ${recording}`);
}

async function serveFrom(recording: Recording, socket: string, chosen: Chosen): Promise<void> {
  const log = logOf({ ...chosen, socket });
  const rules = accessRules(chosen);
  const access = accessOf(rules, findGroup(rules.group), log.tagged("main"));
  const failure = await runService(socket, new Replayer(recording, access, log.tagged("replay")), {
    log,
    service: serviceSettings({ ...chosen, socket }),
  });
  if (failure !== undefined) throw new CommandFailure(failure.message);
}

async function compare(recording: Recording, service: string, chosen: Chosen): Promise<number> {
  using progress = new Progress();
  const result = await compareReplay(recording, {
    service,
    writes: chosen.writes,
    ignore: requestIds(chosen.ignore, "--ignore"),
    messageBytes: PVE_MESSAGE_BYTES,
    progress: (done, all) => progress.show(`${done} of ${all} requests compared`),
  });
  progress.clear();
  if (result instanceof QbFailure) throw new CommandFailure(String(result));
  const { compared, skipped, differences } = result;
  if (chosen.json) {
    const summary = { schema_version: 1, compared, left_out: skipped, differences };
    print(`${jsonText(summary, 2)}\n`);
    return differences.length === 0 ? ExitCode.OK : ExitCode.FAILURE;
  }
  for (const line of differences) print(`${line}\n`);
  print(`${compared} compared, ${differences.length} differ, ${skipped} left out\n`);
  return differences.length === 0 ? ExitCode.OK : ExitCode.FAILURE;
}

export const replayCommand = command({
  name: "replay",
  summary: "Answer from a recording, or send its requests to a server and compare",
  details: [
    "With --socket, equal requests get their recorded answers in order, and the last one from " +
      "then on; requests that were not recorded get ENOSYS.",
    "With --against, redacted requests are left out, and without --writes those that write, too.",
  ],
  examples: [
    ["replay node.jsonl --socket test", "the answers of a node, without the node"],
    ["replay node.jsonl --against pve2 --ignore get-fs-version", "does it still answer the same?"],
  ],
  exits: [[1, "Answers differ, or the command failed"]],
  options,
  operands: { file: path({ description: "Recording to read", hint: "FILE", required: true }) },
  async run(values) {
    const { socket, against, file } = values;
    if ((socket === undefined) === (against === undefined)) {
      throw new UsageFailure("one of --socket and --against is needed");
    }
    const recording = load(file);
    if (against !== undefined) return await compare(recording, against, values);
    if (socket !== undefined) await serveFrom(recording, socket, values);
    return ExitCode.OK;
  },
});
