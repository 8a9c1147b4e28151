/**
 * What a recording leaves out unless asked to keep it, by the request's row (src/pmxcfs/requests).
 * A request is redacted the same way before it is looked up, so that replays find it.
 */
import { requestOf } from "../../pmxcfs/requests/table.ts";

/** The body without secrets; the same object when there are none. */
export function redactBody(id: number, body: Buffer): Buffer {
  return requestOf(id)?.redact?.body?.(body) ?? body;
}

/** The answer without secrets; the same object when there are none. */
export function redactReply(id: number, body: Buffer, reply: Uint8Array): Uint8Array {
  return requestOf(id)?.redact?.reply?.(body, reply) ?? reply;
}
