/** Checks what a handler returned as a reply, and copies replies that outlive their request. */
import { EMPTY_REPLY, NO_REPLY, type Reply, type ReplyMessage } from "../handler.ts";

/** An i32, or undefined. */
function isInt32(value: unknown): boolean {
  return value === undefined || (typeof value === "number" && (value | 0) === value);
}

function isMessage(value: object): value is ReplyMessage {
  const { id, error, body, afterReply } = value as Record<string, unknown>;
  const isBody = body === undefined || body instanceof Uint8Array;
  const isWork = afterReply === undefined || typeof afterReply === "function";
  return !("then" in value) && isBody && isWork && isInt32(id) && isInt32(error);
}

/** Whether `value` is a reply; id and error must be i32. A promise is not a reply. */
export function isReply(value: unknown): value is Reply {
  if (typeof value === "number" || value instanceof Uint8Array || value === NO_REPLY) return true;
  return typeof value === "object" && value !== null && isMessage(value);
}

/** The work that `reply` leaves until it is sent, if any. */
export function workAfter(reply: Reply): (() => void) | undefined {
  if (typeof reply !== "object" || reply instanceof Uint8Array) return undefined;
  return reply.afterReply;
}

/**
 * A copy of a reply that has to wait: the next request will overwrite the original's memory. The
 * copy has no `afterReply`.
 */
export function keepReply(reply: Reply): Reply {
  // Not slice(): a Buffer's slice is a view.
  if (reply instanceof Uint8Array) return new Uint8Array(reply);
  if (typeof reply === "number" || reply === NO_REPLY) return reply;
  return { ...reply, body: new Uint8Array(reply.body ?? EMPTY_REPLY), afterReply: undefined };
}
