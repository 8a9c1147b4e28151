/**
 * When a node that left its group joins it again. At once the first time; a node that leaves again
 * and again waits longer each time, since every join makes the whole cluster synchronise.
 */
import type { LeaveReason } from "../events.ts";

/** A node that was synced for this long since it left last joins again at once. */
const SETTLED_MS = 60_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
/**
 * After a change that arrived without quorum: nothing is wrong with this node, its network was cut,
 * and while it waits it is read-only although the cluster is whole. C's services start after 6 s.
 */
const WITHOUT_QUORUM_MS = 6000;

export class RejoinPolicy {
  #pauseMs = 0;
  #notBefore = 0;
  #reason: LeaveReason | undefined;

  /** The node was synced for `syncedMs`, until the members changed or corosync ended. */
  synced(syncedMs: number): void {
    if (syncedMs >= SETTLED_MS) this.#pauseMs = 0;
  }

  /** The node left, after it was synced for `syncedMs`. */
  left(reason: LeaveReason, syncedMs: number, now: number): void {
    this.synced(syncedMs);
    this.#reason = reason;
    const longestMs = reason === "no-quorum" ? WITHOUT_QUORUM_MS : LONGEST_PAUSE_MS;
    this.#notBefore = now + Math.min(this.#pauseMs, longestMs);
    const next = this.#pauseMs === 0 ? FIRST_PAUSE_MS : this.#pauseMs * 2;
    this.#pauseMs = Math.max(this.#pauseMs, Math.min(next, longestMs));
  }

  /** Milliseconds until it may join. */
  pauseMs(now: number): number {
    return Math.max(0, this.#notBefore - now);
  }

  /** Whether it may join now; never after a newer protocol. */
  mayJoin(now: number): boolean {
    return this.#reason !== "version" && now >= this.#notBefore;
  }

  /** The node has joined. */
  joined(): void {
    this.#reason = undefined;
  }
}
