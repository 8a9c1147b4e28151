/**
 * Removes secrets from a recording, by the rule of the request's row (src/pmxcfs/requests). A
 * replay redacts a request in the same way before it looks for an answer.
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
