/** The options of a client and of a call, and their defaults. */
import type { Identity } from "../platform/socket.ts";

/** Default deadline of a call, in ms. */
export const DEFAULT_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  /** Largest message, header included, that either side may send; default: 1 MiB, as in PVE. */
  readonly maxMessageBytes?: number;
  /** Deadline of the set-up, and default deadline of each call; default: 10 s. */
  readonly timeoutMs?: number;
  /** Flow control levels up to this stop us: 1 (libqb's default), or 2 to yield to others. */
  readonly fcEnableMax?: number;
  /** The credentials that the server sees; default: ours. Only root may use others. */
  readonly identity?: Identity;
  /**
   * How a response is matched to its request: `id` (default) requires the request's id, as in
   * pmxcfs; `order` takes the next response with any id, for corosync, whose responses have their
   * own ids (a refusal has id 0).
   */
  readonly responses?: "id" | "order";
  /**
   * Notify bytes that may be owed before a send is refused as `busy`; default: unlimited. Use 0 for
   * corosync, which blocks, and stops passing its token, until each byte has arrived.
   */
  readonly maxOwedNotifies?: number;
}

export interface SendOptions {
  /** Replaces the true size in the request's header. */
  readonly claimedBytes?: number;
  /** As ConnectOptions.fcEnableMax, for this request only (qb_ipcc_fc_enable_max_set around it). */
  readonly fcEnableMax?: number;
}

export interface CallOptions extends SendOptions {
  readonly timeoutMs?: number;
}
