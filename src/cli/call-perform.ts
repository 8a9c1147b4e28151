/** What every `call` does: connect, ask, show the answer or say why there is none. */
import { QbFailure } from "../client/failure.ts";
import type { QbResponse } from "../client/message.ts";
import { QbClient } from "../client/qb-client.ts";
import { IpcLimits } from "../base/limits.ts";
import { bytes, count, flag, milliseconds, text, type Values } from "./args.ts";
import type { Shown } from "./call-answers.ts";
import { explainAnswer, explainFailure } from "./call-explain.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import { print } from "./terminal.ts";

const ASKING = "Asking";

/** Options of every call. */
export const callOptions = {
  socket: text({ description: "Service to ask", hint: "NAME", default: "pve2", group: ASKING }),
  timeout: milliseconds({
    description: "Give up after",
    default: 5000,
    min: 1,
    group: ASKING,
  }),
  messageSize: bytes({
    description: "Largest message of the connection",
    default: 1024 * 1024,
    min: IpcLimits.minMessageBytes,
    group: ASKING,
  }),
  repeat: count({
    description: "Ask so many times, show the last answer and how long they took",
    default: 1,
    min: 1,
    max: 10_000_000,
    group: ASKING,
  }),
  json: flag({ description: "The answer as one JSON object", group: ASKING }),
  hex: flag({ description: "The answer's body in hex", group: ASKING }),
} as const;

export type CallValues = Values<typeof callOptions>;

/** One request, ready to be sent. */
export interface Ask {
  readonly id: number;
  readonly name: string;
  readonly body: Buffer | QbFailure;
  readonly shown: Shown;
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
  // This process does nothing else: asleep in the kernel is quickest.
  const response = client.sendRecvBlocking(id, body, { timeoutMs });
  if (response instanceof QbFailure) throw new CommandFailure(explainFailure(response));
  return response;
}

/** Carries it out; throws CommandFailure when it is not answered, or with an error. */
export async function perform(what: Ask, values: CallValues): Promise<void> {
  if (values.json && values.hex) throw new UsageFailure("--json and --hex: only one of them");
  if (what.body instanceof QbFailure) throw new UsageFailure(what.body.message);
  const { socket, timeout, messageSize, repeat } = values;
  const options = { maxMessageBytes: messageSize, timeoutMs: timeout };
  const client = await QbClient.connect(socket, options);
  if (client instanceof QbFailure) throw new CommandFailure(explainFailure(client));
  using open = client;
  const times = new Float64Array(repeat);
  let response: QbResponse | undefined;
  for (let turn = 0; turn < repeat; turn++) {
    const start = Bun.nanoseconds();
    response = ask(open, what, timeout);
    times[turn] = (Bun.nanoseconds() - start) / 1000;
  }
  if (response === undefined) return;
  if (repeat > 1) process.stderr.write(timesText(times));
  if (values.json) printJson(what, response);
  if (response.error !== 0) throw new CommandFailure(explainAnswer(what.id, response.error));
  if (values.hex) print(`${response.body.toString("hex")}\n`);
  else if (!values.json) print(what.shown.text(response.body));
}

function printJson({ id, name, shown }: Ask, { error, body }: QbResponse): void {
  const answer = error === 0 ? { result: shown.json(body) } : {};
  const report = { schema_version: 1, request: name, id, error, ...answer };
  print(`${JSON.stringify(report, undefined, 2)}\n`);
}
