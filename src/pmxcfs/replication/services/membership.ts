/** Joins a group of corosync and leaves it, each within a limit. */
import { within } from "../../../base/within.ts";
import type { CpgGroup } from "../../../corosync/cpg.ts";
import { CsError, CsFailure } from "../../../corosync/cs-error.ts";

/** A join is retried until the last leave of this process is complete. */
const JOIN_MS = 10_000;
const JOIN_AGAIN_MS = 10;
/** Pause before a leave that corosync refused is retried. */
const LEAVE_AGAIN_MS = 20;
/** Limit for a leave, and for the wait for the confchg without this process. */
const LEAVE_MS = 2000;

/** Joins; TRY_AGAIN and BUSY while an earlier leave is under way. */
export async function joinGroup(cpg: CpgGroup): Promise<CsFailure | undefined> {
  const until = performance.now() + JOIN_MS;
  for (;;) {
    const error = await cpg.join();
    if (error === CsError.OK) return undefined;
    const again = error === CsError.TRY_AGAIN || error === CsError.BUSY;
    if (!again || performance.now() >= until) return new CsFailure(error, "cpg_join");
    await Bun.sleep(JOIN_AGAIN_MS);
  }
}

/**
 * Retries until corosync accepts the leave, then waits for `left`, the confchg without this
 * process. False when corosync answers nothing, as while its membership changes, or when it hangs:
 * then only closing the connection is left, and the others see the death of a process.
 */
export async function leaveGroup(cpg: CpgGroup, left: Promise<void>): Promise<boolean> {
  const until = performance.now() + LEAVE_MS;
  while (!cpg.closed && performance.now() < until) {
    const error = await within(cpg.leave(), until - performance.now());
    if (error === undefined) return false;
    if (error !== CsError.TRY_AGAIN && error !== CsError.BUSY) {
      if (error === CsError.OK) await within(left, LEAVE_MS);
      break;
    }
    await Bun.sleep(LEAVE_AGAIN_MS);
  }
  return true;
}

/** Ends the connection with an answer of corosync, or without one. */
export async function finalizeGroup(cpg: CpgGroup): Promise<void> {
  await within(cpg.finalize(), LEAVE_MS);
}
