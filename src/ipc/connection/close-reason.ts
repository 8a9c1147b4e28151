/** Why a connection ends. Its kind decides how the server logs and counts the end. */

export interface CloseReason {
  /** `normal`: one side closed it; `violation`: the client broke the protocol; `failure`: a bug. */
  readonly kind: "normal" | "violation" | "failure";
  readonly reason: string;
  /** What the handler threw, for `failure`. */
  readonly error?: unknown;
}

/** The client disconnected. */
export const HUNG_UP: CloseReason = { kind: "normal", reason: "hung up" };
/** A mapped page is missing: the SIGBUS guard replaced it by zeros. */
export const TRUNCATED: CloseReason = { kind: "violation", reason: "truncated its ring files" };
/** The server shuts down. */
export const STOPPED: CloseReason = { kind: "normal", reason: "the server stops" };

/** The client left no room for a reply until the deadline. */
export function readNoReply(deadlineMs: number): CloseReason {
  return { kind: "violation", reason: `read no reply for ${deadlineMs / 1000} s` };
}
