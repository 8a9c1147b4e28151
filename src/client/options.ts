/** The options of a client and of a call, and their defaults. */
import type { Identity } from "../platform/socket.ts";

/** Message size that PVE's clients ask for, in bytes (PVE::IPCC). */
export const PVE_MESSAGE_BYTES = 1024 * 1024;
/** Deadline of a call, in ms, unless it names one. */
export const DEFAULT_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  /** Largest message, header included, that either side may send. PVE's: 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Bound on the set-up, and default for each call; 10 s unless given. */
  readonly timeoutMs?: number;
  /** Flow control levels up to this stop us: 1 (libqb's default), 2 = yield to others. */
  readonly fcEnableMax?: number;
  /** Whose credentials the server sees; ours unless given. Only root may show others. */
  readonly identity?: Identity;
  /**
   * How a response is matched to its request: `id` (default) demands the request's id, as pmxcfs
   * answers; `order` takes the next response whatever its id, as corosync answers (its responses
   * are numbered by themselves, and a refusal has id 0).
   */
  readonly responses?: "id" | "order";
  /**
   * Notify bytes that may be owed before a send is refused as `busy`; unlimited unless given. 0
   * suits corosync, which blocks, its token included, until each byte is paid.
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
