/** Recordings: JSON lines, a header first; docs/recording.md has the format. */
import { jsonText } from "../../base/escape.ts";
import type { Permissions } from "../../ipc/handler.ts";
import { requestName } from "../../pmxcfs/requests/wording.ts";
import type { Exchange } from "./exchange.ts";
import { redactBody, redactReply } from "./redact.ts";

const FORMAT = "pmxcfs-ipc-recording";
const VERSION = 1;

interface Header {
  readonly format: string;
  readonly version: number;
  /** The service that was recorded. */
  readonly upstream: string;
  readonly started: string;
  /** Secrets were removed. */
  readonly redacted: boolean;
}

/** A message that the server sent on its own, after a request. */
interface RecordedEvent {
  readonly id: number;
  readonly body: Buffer;
}

/** One request of a recording. */
export interface RecordedRequest {
  readonly connection: number;
  readonly permissions: Permissions;
  readonly id: number;
  readonly body: Buffer;
  /** 0 or a negative errno; null when there was no answer. */
  readonly error: number | null;
  readonly reply: Buffer;
  /** The parts that were redacted: `body`, `reply`. */
  readonly redacted: readonly string[];
  /** The recorder denied it; the server never got it. */
  readonly refusedHere: boolean;
  /** The events that arrived before the connection's next request. */
  readonly events: RecordedEvent[];
}

export interface Recording {
  readonly header: Header;
  readonly requests: readonly RecordedRequest[];
}

/** The first line of a recording: format, upstream, whether secrets were removed. */
export function headerLine(upstream: string, redacted: boolean): string {
  const started = new Date().toISOString();
  const header: Header = { format: FORMAT, version: VERSION, upstream, started, redacted };
  return `${jsonText(header)}\n`;
}

/** One exchange as its line. */
export function requestLine(exchange: Exchange, redact: boolean): string {
  const { id, body, reply, caller } = exchange;
  const keptBody = redact ? redactBody(id, body) : body;
  const keptReply = redact ? redactReply(id, body, reply) : reply;
  const cut = [keptBody === body ? "" : "body", keptReply === reply ? "" : "reply"];
  const fields = {
    kind: "request",
    time: new Date(exchange.atMs).toISOString(),
    connection: exchange.connection,
    pid: caller.pid,
    uid: caller.uid,
    gid: caller.gid,
    permissions: caller.permissions,
    id,
    operation: requestName(id),
    body: Buffer.from(keptBody).toString("base64"),
    error: exchange.error ?? null,
    reply: Buffer.from(keptReply).toString("base64"),
    latency_us: exchange.latencyUs,
    refused_here: exchange.refusedHere,
    redacted: cut.filter((part) => part !== ""),
  };
  return `${jsonText(fields)}\n`;
}

/** An event as its line; it arrived after `after` requests of its connection. */
export function eventLine(connection: number, after: number, id: number, body: Buffer): string {
  const fields = { kind: "event", connection, after, id, body: body.toString("base64") };
  return `${jsonText(fields)}\n`;
}

type Fields = Readonly<Record<string, unknown>>;

function parsed(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(typeof value === "string" ? value : "", "base64");
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) ? value : undefined;
}

function requestOf(fields: Fields): RecordedRequest | undefined {
  const connection = numberOf(fields["connection"]);
  const id = numberOf(fields["id"]);
  const error = fields["error"] === null ? null : numberOf(fields["error"]);
  if (connection === undefined || id === undefined || error === undefined) return undefined;
  const redacted = Array.isArray(fields["redacted"]) ? fields["redacted"].map(String) : [];
  return {
    connection,
    permissions: fields["permissions"] === "read-only" ? "read-only" : "read-write",
    id,
    body: bytesOf(fields["body"]),
    error,
    reply: bytesOf(fields["reply"]),
    redacted,
    refusedHere: fields["refused_here"] === true,
    events: [],
  };
}

function headerOf(line: string): Header | string {
  const fields = parsed(line);
  if (fields?.["format"] !== FORMAT) return "it is not a recording";
  if (fields["version"] === VERSION) return fields as unknown as Header;
  return `it has version ${String(fields["version"])}, this program reads ${VERSION}`;
}

/** Adds an event to the request that came before it, else to the last of its connection. */
function attach(event: Fields, ofConnection: ReadonlyMap<number, RecordedRequest[]>): void {
  const requests = ofConnection.get(numberOf(event["connection"]) ?? 0);
  const after = numberOf(event["after"]) ?? 1;
  const owner = requests?.[Math.max(after, 1) - 1] ?? requests?.at(-1);
  owner?.events.push({ id: numberOf(event["id"]) ?? 0, body: bytesOf(event["body"]) });
}

/** A recording from its text, or an error text. Lines of an unknown kind are skipped. */
export function readRecording(text: string): Recording | string {
  const [first = "", ...lines] = text.split("\n");
  const header = headerOf(first);
  if (typeof header === "string") return header;
  const requests: RecordedRequest[] = [];
  const events: Fields[] = [];
  for (const [index, line] of lines.entries()) {
    if (line === "") continue;
    const fields = parsed(line);
    if (fields === undefined) return `line ${index + 2} is not a JSON object`;
    if (fields["kind"] === "event") events.push(fields);
    if (fields["kind"] !== "request") continue;
    const request = requestOf(fields);
    if (request === undefined) return `line ${index + 2} is not a complete request`;
    requests.push(request);
  }
  const ofConnection = Map.groupBy(requests, ({ connection }) => connection);
  // Attached last: an event is written at once, but its request only when it is answered.
  for (const event of events) attach(event, ofConnection);
  return { header, requests };
}
