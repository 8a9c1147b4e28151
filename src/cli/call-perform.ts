/**
 * Common to all `call` commands: connects, sends the request, and shows the answer or why there is
 * none.
 */
import { PVE_SERVICE } from "../base/paths.ts";
import { QbFailure } from "../client/failure.ts";
import type { QbResponse } from "../client/message.ts";
import { QbClient } from "../client/qb-client.ts";
import { IpcLimits } from "../base/limits.ts";
import { Errno } from "../base/errno.ts";
import { escapeLines, jsonText } from "../base/escape.ts";
import { carried } from "../pmxcfs/requests/answer.ts";
import type { AnswerFormat } from "../pmxcfs/requests/request.ts";
import { CfsIpc } from "../pmxcfs/requests/table.ts";
import { errorMeaning } from "../pmxcfs/requests/wording.ts";
import { bytes, count, flag, milliseconds, text, type Values } from "./args.ts";
import { configHint } from "./call-hints.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import { print, printFile } from "./terminal.ts";

const ASKING = "Asking";

/** Interval of the connects during `--wait`. */
const WAIT_PAUSE_MS = 50;

/** Options of every call. */
export const callOptions = {
  socket: text({
    description: "Service to ask",
    hint: "NAME",
    default: PVE_SERVICE,
    group: ASKING,
  }),
  timeout: milliseconds({
    description: "Time limit of an answer",
    default: 5000,
    min: 1,
    group: ASKING,
  }),
  wait: milliseconds({
    description: "Time to wait for a service that is not running yet",
    default: 0,
    group: ASKING,
  }),
  messageSize: bytes({
    description: "Largest message of the connection",
    default: 1024 * 1024,
    min: IpcLimits.minMessageBytes,
    max: IpcLimits.mostMessageBytes,
    group: ASKING,
  }),
  repeat: count({
    description: "Number of calls; shows the last answer and the times of all",
    default: 1,
    min: 1,
    max: 10_000_000,
    group: ASKING,
  }),
  json: flag({ description: "Print the answer as one JSON object", group: ASKING }),
  hex: flag({ description: "Print the answer's body in hex", group: ASKING }),
} as const;

export type CallValues = Values<typeof callOptions>;

/** One request, ready to be sent. */
export interface Ask {
  readonly id: number;
  readonly name: string;
  readonly body: Buffer | QbFailure;
  readonly answer: AnswerFormat<unknown>;
  /** The arguments from the command line, for hints. */
  readonly given: Readonly<Record<string, unknown>>;
}

function isControl(byte: number): boolean {
  return byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d;
}

/** The format for answers to unknown requests: as text if it is text, else in hex. */
export const rawAnswer: AnswerFormat<Buffer> = {
  read: (body) => body,
  json: carried,
  text(body) {
    if (body.byteLength === 0) return "an empty answer\n";
    const shown = carried(body);
    const readable = "text" in shown && !body.subarray(0, -1).some(isControl);
    if (!readable) return `${body.toString("hex")}\n`;
    return `${escapeLines(shown.text.replace(/[\n\0]*$/, ""))}\n`;
  },
};

/** What to do about a failure of the transport. */
const HINTS: Readonly<Partial<Record<QbFailure["kind"], string>>> = {
  absent: "is pmxcfs running, in this network namespace? (--wait 10s waits for it)",
  refused: "pmxcfs accepts uid 0 with gid 0, and gid www-data",
  size: "--message-size makes a larger connection",
};

/** The text of a failure of the transport, with a hint if there is one. */
function explainFailure(failure: QbFailure): string {
  const hint = HINTS[failure.kind];
  return hint === undefined ? String(failure) : `${String(failure)}; ${hint}`;
}

/** Round trips in microseconds: `min 12.1, median 13.0, p99 40.2, max 55.0 us`. */
function timesText(times: Float64Array): string {
  const sorted = times.toSorted();
  const at = (part: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(1);
  const named = { min: at(0), median: at(0.5), p99: at(0.99), max: at(1) };
  const parts = Object.entries(named).map(([name, us]) => `${name} ${us}`);
  return `${sorted.length} calls, each ${parts.join(", ")} us\n`;
}

function ask(client: QbClient, { id, body }: Ask, timeoutMs: number): QbResponse {
  if (body instanceof QbFailure) throw new UsageFailure(body.message);
  // This process has nothing else to do, and sleeping in the kernel is the fastest way to wait.
  const response = client.sendRecvBlocking(id, body, { timeoutMs });
  if (response instanceof QbFailure) throw new CommandFailure(explainFailure(response));
  return response;
}

/** Connects; while no process listens, tries again for the time of --wait. */
async function connect({ socket, timeout, wait, messageSize }: CallValues): Promise<QbClient> {
  const options = { maxMessageBytes: messageSize, timeoutMs: timeout };
  const deadline = performance.now() + wait;
  let client = await QbClient.connect(socket, options);
  while (client instanceof QbFailure && client.kind === "absent" && performance.now() < deadline) {
    await Bun.sleep(WAIT_PAUSE_MS);
    client = await QbClient.connect(socket, options);
  }
  if (client instanceof QbFailure) throw new CommandFailure(explainFailure(client));
  return client;
}

/**
 * Sends the request and prints the answer; throws CommandFailure if there is no answer, or if it is
 * an error.
 */
export async function perform(request: Ask, values: CallValues): Promise<void> {
  if (values.json && values.hex) throw new UsageFailure("--json and --hex: only one of them");
  if (request.body instanceof QbFailure) throw new UsageFailure(request.body.message);
  const { timeout, repeat } = values;
  using client = await connect(values);
  const times = new Float64Array(repeat);
  let response: QbResponse | undefined;
  for (let turn = 0; turn < repeat; turn++) {
    const start = Bun.nanoseconds();
    response = ask(client, request, timeout);
    times[turn] = (Bun.nanoseconds() - start) / 1000;
  }
  if (response === undefined) return;
  if (repeat > 1) process.stderr.write(timesText(times));
  if (values.json) printJson(request, response);
  if (response.error !== 0) throw await failureOf(client, request, response.error);
  if (values.hex) print(`${response.body.toString("hex")}\n`);
  else if (!values.json) printValue(request, response.body);
}

async function failureOf(client: QbClient, request: Ask, error: number): Promise<CommandFailure> {
  const { path } = request.given;
  const isMissing = request.id === CfsIpc.GET_CONFIG && error === Errno.ENOENT;
  const hint = isMissing && typeof path === "string" ? await configHint(client, path) : undefined;
  const meaning = errorMeaning(request.id, error);
  return new CommandFailure(hint === undefined ? meaning : `${meaning}: ${hint}`);
}

/** The decoded value of an answer; throws CommandFailure if it cannot be decoded. */
function valueIn({ answer }: Ask, body: Buffer): unknown {
  const value = answer.read(body);
  if (value instanceof QbFailure) throw new CommandFailure(`${value.message} (--hex shows it)`);
  return value;
}

function printValue(request: Ask, body: Buffer): void {
  const shown = request.answer.text(valueIn(request, body));
  if (typeof shown === "string") print(shown);
  else printFile(shown);
}

function printJson(request: Ask, { error, body }: QbResponse): void {
  const { id, name, answer } = request;
  const value = error === 0 ? valueIn(request, body) : undefined;
  const result =
    error === 0 ? { result: answer.json === undefined ? value : answer.json(value) } : {};
  print(`${jsonText({ schema_version: 1, request: name, id, error, ...result }, 2)}\n`);
}
