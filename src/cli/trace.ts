/** `pmxcfs-ipc trace`: a proxy that prints requests and answers. */
import { boundedWriter } from "../base/bounded-writer.ts";
import { Errno } from "../base/errno.ts";
import type { Watcher } from "../tools/trace/exchange.ts";
import * as show from "../tools/trace/show.ts";
import { ids } from "./access-options.ts";
import { flag, list, type Values } from "./args.ts";
import { command } from "./command.ts";
import { type CommandFailure, UsageFailure } from "./failure.ts";
import { suggest } from "./suggest.ts";
import { proxyOptions, runProxy } from "./proxy-options.ts";
import { requestIds } from "./request-words.ts";
import { leaveSoon } from "./service-options.ts";
import { stdoutFailure } from "./terminal.ts";
import { traceMount } from "./trace-mount.ts";

const FILTER = "What is shown";

const options = {
  ...proxyOptions,
  operation: list({
    description: "Requests to show; with --fuse, operations such as write",
    hint: "REQUEST",
    group: FILTER,
  }),
  uid: list({ description: "Uids whose requests are shown", hint: "UID", group: FILTER }),
  errno: list({
    description: "Outcomes to show: ENOENT, or OK",
    hint: "ERRNO",
    group: FILTER,
  }),
  json: flag({ description: "Print one JSON object per line", group: FILTER }),
  fuse: flag({
    description: "Show the operations of the mount of --upstream instead; --socket is not needed",
    group: FILTER,
  }),
} as const;

function errnos(words: readonly string[]): number[] {
  const names = Object.keys(Errno) as (keyof typeof Errno)[];
  return words.map((word) => {
    const wanted = word.toUpperCase();
    if (wanted === "OK") return 0;
    const name = names.find((one) => one === wanted);
    if (name !== undefined) return Errno[name];
    const hint = suggest(wanted, [...names, "OK"]);
    throw new UsageFailure(`--errno: "${word}" is not an errno`, hint);
  });
}

/**
 * Lines for stdout. A reader that does not read in time loses lines, because a write that waited
 * for it would delay all clients. If stdout cannot be written, the trace ends.
 */
class Output {
  /** Why stdout cannot be written. */
  failure: CommandFailure | undefined;
  readonly #leftOut: (count: number) => string;
  readonly #write = boundedWriter(process.stdout, (error) => this.#failed(error));
  #lines: string[] = [];
  #lost = 0;

  /** `leftOut` makes the line for a number of lost ones. */
  constructor(leftOut: (count: number) => string) {
    this.#leftOut = leftOut;
  }

  add(line: string): void {
    if (this.failure === undefined) this.#lines.push(line);
  }

  /** Writes all added lines in one write. */
  write(): void {
    const lines = this.#lines;
    if (lines.length === 0) return;
    this.#lines = [];
    const before = this.#lost === 0 ? "" : this.#leftOut(this.#lost);
    if (this.#write(before + lines.join(""))) this.#lost = 0;
    else this.#lost += lines.length;
  }

  #failed(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = stdoutFailure(error);
    process.kill(process.pid, "SIGTERM");
  }
}

function printer(values: Values<typeof options>, output: Output): Watcher {
  const filter = {
    ids: requestIds(values.operation, "--operation"),
    uids: ids(values.uid, "--uid"),
    errors: errnos(values.errno),
  };
  const filtered = filter.ids.length + filter.uids.length + filter.errors.length > 0;
  const exchanged = values.json ? show.exchangeJson : show.exchangeText;
  const noticed = values.json ? show.noticeJson : show.noticeText;
  // A filter selects requests, so other notices are left out.
  const notice = (event: show.Notice) => (filtered ? undefined : output.add(noticed(event)));
  return {
    wantsReplies: false,
    wants: (id, { uid }) => show.mayMatch(filter, id, uid),
    opened: (peer, atMs) => {
      const { permissions } = peer.caller;
      notice(show.noticeOf("connect", peer, atMs, { permissions }));
    },
    refused: (peer, atMs, error) => notice({ kind: "refuse", atMs, peer, detail: { error } }),
    exchanged: (exchange) => {
      if (show.matches(filter, exchange)) output.add(exchanged(exchange));
    },
    event: (peer, atMs, { id, body }) =>
      notice(show.noticeOf("event", peer, atMs, { id, body_bytes: body.byteLength })),
    closed: (peer, atMs) => notice(show.noticeOf("disconnect", peer, atMs)),
    batchEnd: () => output.write(),
  };
}

export const traceCommand = command({
  name: "trace",
  summary: "Proxy between clients and a server that prints each request and its answer",
  details: [
    "Clients connect to --socket, and each gets its own connection to --upstream. If root runs " +
      "the tracer, the server sees each client's uid and gid, but the tracer's pid. Otherwise, " +
      "and with --no-as-client, it sees the tracer's credentials, so the tracer applies the " +
      "server's rule itself: it refuses the same clients, and denies read-only clients the same " +
      "requests.",
    "Token secrets are never printed.",
    "--fuse needs no proxy: the server itself reports operations while a reader is connected.",
  ],
  examples: [
    ["trace --socket pve2x --upstream pve2", "trace clients of @pve2x"],
    ["trace --fuse --operation write", "which process writes what to /etc/pve"],
    ["trace --socket pve2x --operation get-config --errno ENOENT", "requests for missing files"],
  ],
  options,
  async run(values) {
    if (values.fuse) {
      // The server prints names; a filter that cannot match is refused as it is without --fuse.
      ids(values.uid, "--uid");
      errnos(values.errno);
      await traceMount(values);
      return;
    }
    const output = new Output(values.json ? show.leftOutJson : show.leftOutText);
    await runProxy(values, printer(values, output));
    leaveSoon();
    if (output.failure !== undefined) throw output.failure;
  },
});
