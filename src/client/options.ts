/** What a client can be told, and what holds when it is not. */
import type { Identity } from "../platform/socket.ts";

/** What PVE's clients ask for (IPCC.xs). */
export const PVE_MESSAGE_BYTES = 1024 * 1024;
/** How long calls wait unless told otherwise. */
export const DEFAULT_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  /** Largest message, header included, that either side may send. PVE's: 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Bound on the set-up, and default for each call; 10 s unless given. */
  readonly timeoutMs?: number;
  /** Flow control levels up to this stop us: 1 (libqb's default), 2 = yield to others. */
  readonly fcEnableMax?: number;
  /** Whom the server sees; ourselves unless given, and others only when root asks. */
  readonly identity?: Identity;
}

export interface CallOptions {
  readonly timeoutMs?: number;
}
