/** `pmxcfs-ipc bench`: puts load on a running service and prints how fast it answers. */
import { PVE_SERVICE } from "../base/paths.ts";
import { counted } from "../base/counted.ts";
import { jsonText } from "../base/escape.ts";
import { LOAD_VARIABLE, runLoadChild, type LoadWork } from "../tools/bench/load-child.ts";
import { runLoad } from "../tools/bench/load.ts";
import { figures, ratios, ratiosText, text as resultText } from "../tools/bench/report.ts";
import { QbFailure } from "../client/failure.ts";
import { IpcLimits } from "../base/limits.ts";
import { Libqb } from "../platform/libqb.ts";
import { READ_REQUESTS } from "../pmxcfs/requests/read-requests.ts";
import { getConfig } from "../pmxcfs/requests/rows/get-config.ts";
import { aliasesOf, requestNamed, wordOf } from "../pmxcfs/requests/wording.ts";
import { bytes, count, flag, integer, milliseconds, oneOf, text, type Values } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure, stoppedBy, UsageFailure } from "./failure.ts";
import { Progress } from "./progress.ts";
import { ID_RANGE } from "./request-words.ts";
import { print } from "./terminal.ts";

/** The requests that only read, and `connect`. */
const KINDS: readonly string[] = [
  ...READ_REQUESTS.map(({ request }) => wordOf(request)),
  ...READ_REQUESTS.flatMap(({ request }) => aliasesOf(request)),
  "connect",
];

/** With more processes, a run measures the host instead of the server. */
const MAX_CONNECTIONS = 256;

const options = {
  socket: text({ description: "Service to load", hint: "NAME", default: PVE_SERVICE }),
  vs: text({
    description: "Second service, loaded alternately with the first and compared with it",
    hint: "NAME",
  }),
  client: oneOf(["libqb", "own"], {
    description: "Client library: the host's libqb, or our own",
    defaultText: "libqb if it is installed",
  }),
  connections: count({
    description: "Number of connections, one process each",
    default: 1,
    min: 1,
    max: MAX_CONNECTIONS,
  }),
  request: oneOf(KINDS, { description: "Request to send", default: "get-fs-version" }),
  path: text({ description: "Path for get-config", default: "storage.cfg" }),
  id: integer({
    description: "Message id to send instead of a request, for an echo server",
    ...ID_RANGE,
  }),
  payload: bytes({ description: "Body size of --id", default: 0, max: 16 * 1024 * 1024 }),
  duration: milliseconds({ description: "Duration per service", default: 3000, min: 50 }),
  count: count({ description: "Requests per connection, instead of a duration", default: 0 }),
  rounds: count({ description: "Number of rounds", default: 4, min: 1, max: 1000 }),
  messageSize: bytes({
    description: "Largest message",
    default: 1024 * 1024,
    min: IpcLimits.minMessageBytes,
    max: IpcLimits.mostMessageBytes,
  }),
  timeout: milliseconds({ description: "Answer timeout", default: 10_000, min: 1 }),
  json: flag({ description: "Print the results as one JSON object" }),
} as const;

type Chosen = Values<typeof options>;

/** The request's id and body. */
function asked({ request, path, id, payload }: Chosen): Pick<LoadWork, "id" | "body"> {
  if (id !== undefined) return { id, body: payload };
  if (payload > 0) throw new UsageFailure("--payload is the body of --id, which is missing");
  if (request === "connect") return { id: "connect", body: "" };
  const read = READ_REQUESTS.find((each) => each.request === requestNamed(request));
  const made = read?.request.id === getConfig.id ? getConfig.encode({ path }) : read?.body;
  if (read === undefined || made === undefined) throw new UsageFailure(`no request ${request}`);
  if (made instanceof QbFailure) throw new UsageFailure(made.message);
  return { id: read.request.id, body: made.toString("base64") };
}

/** Rejects at the first SIGINT or SIGTERM. */
function stopSignal(): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => reject(stoppedBy(signal)));
  }
  promise.catch(() => {});
  return promise;
}

export const benchCommand = command({
  name: "bench",
  summary: "Load a running service: throughput, latencies, CPU and memory of the server",
  details: [
    "Each connection is a separate process that sends its next request as soon as the last is " +
      "answered. The server's CPU and memory are those of the listening process.",
  ],
  examples: [
    ["bench --socket test", "one connection, three seconds"],
    ["bench --socket test --id 9 --payload 64K --connections 4", "an echo server, larger bodies"],
    ["bench --socket ours --vs theirs --duration 10s", "two servers alternately, with ratios"],
  ],
  options,
  async run(chosen) {
    const role = process.env[LOAD_VARIABLE];
    if (role !== undefined) return await runLoadChild(role);
    const { socket, vs, connections, rounds, duration, count: times, messageSize } = chosen;
    const client = chosen.client ?? (Libqb.load() === undefined ? "own" : "libqb");
    const common = { ...asked(chosen), client, timeoutMs: chosen.timeout };
    const works = (vs === undefined ? [socket] : [socket, vs]).map((name) =>
      Object.assign({ socket: name, messageBytes: messageSize }, common),
    );
    using progress = new Progress();
    const onRound = (name: string, round: number): void =>
      progress.show(`${name}: round ${round} of ${rounds}`);
    const stopped = stopSignal();
    const load = { connections, rounds, durationMs: duration, count: times, onRound, stopped };
    const results = await runLoad(works, load);
    progress.clear();
    if (typeof results === "string") throw new CommandFailure(results);
    const [first, second] = results;
    if (first === undefined) return undefined;
    if (chosen.json) {
      const compared = second === undefined ? {} : { ratios: ratios(first, second) };
      const services = results.map(figures);
      const report = { schema_version: 1, client, connections, rounds, services, ...compared };
      print(`${jsonText(report, 2)}\n`);
      return undefined;
    }
    const what = chosen.id === undefined ? chosen.request : `request ${chosen.id}`;
    print(`${counted(connections, "connection")} through ${client}, ${what}\n`);
    for (const result of results) print(resultText(result));
    if (second !== undefined) print(ratiosText(first, second));
    return undefined;
  },
});
