/** Asks a running server for its status: connects to its socket and reads until it closes. */
import { connect } from "node:net";
import { fullQueue } from "../platform/bound-socket.ts";
import { STATUS_SCHEMA_VERSION, type StatusDocument } from "./status.ts";

/** A server that takes longer hangs. */
const TIMEOUT_MS = 5_000;

/** Largest answer; a server that sends more is not ours. */
const MAX_BYTES = 64 * 1024 * 1024;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such socket: is a server of ours running, with its status enabled?",
  ECONNREFUSED: "no process listens: the server that made the socket has ended",
  EACCES: "only root and the server's user may read the status",
};

function receive(path: string, timeoutMs: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ path });
  const parts: Buffer[] = [];
  let size = 0;
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer in ${timeoutMs} ms`)));
  socket.on("data", (part: Buffer) => {
    parts.push(part);
    size += part.length;
    if (size > MAX_BYTES) socket.destroy(new Error("the answer is not from a server of ours"));
  });
  socket.on("error", reject);
  socket.on("close", () => resolve(Buffer.concat(parts).toString()));
  return promise;
}

function parse(text: string): StatusDocument | undefined {
  try {
    const document = JSON.parse(text) as StatusDocument;
    return typeof document.schema_version === "number" ? document : undefined;
  } catch {
    return undefined;
  }
}

/** The status of the server whose socket is at `path`; a string says why there is none. */
export async function readStatus(
  path: string,
  timeoutMs: number = TIMEOUT_MS,
): Promise<StatusDocument | string> {
  let text: string;
  try {
    text = await receive(path, timeoutMs);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return `${path}: ${fullQueue(path, error) ?? REASONS[code ?? ""] ?? message}`;
  }
  const document = parse(text);
  if (document === undefined) return `${path}: the answer is not from a server of ours`;
  const { schema_version: version } = document;
  if (version === STATUS_SCHEMA_VERSION) return document;
  return `${path}: the server has status schema ${version}, this program ${STATUS_SCHEMA_VERSION}`;
}
