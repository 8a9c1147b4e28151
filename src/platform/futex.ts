/** Sleeping and waking on a word that other processes share: the two calls JS Atomics lack. */
import { shim, type Address } from "./shim.ts";

/** Wakes one waiter of the semaphore at `address`. */
export function wakeOne(address: Address): void {
  shim.shim_wake(address);
}

/**
 * Takes one from the semaphore at `address`, spinning `spinUs`, then sleeping, for at most
 * `timeoutUs` in all. Blocks the event loop: for clients in a process of their own.
 */
export function takeWaiting(address: Address, spinUs: number, timeoutUs: number): boolean {
  return shim.shim_wait(address, spinUs, timeoutUs) === 1;
}

/**
 * Looks at the semaphores of the first `count` rows of a table (struct hot_ring of native/shim.c:
 * at `table`) until one has a value or `budgetNs` is over; its index, or a negative errno. Starts
 * after index `after`, and leaves out index `skip` (-1: none). Reads notify bytes that have
 * gathered.
 */
export function pollSemaphores(
  table: Address,
  count: number,
  after: number,
  skip: number,
  budgetNs: number,
): number {
  return shim.shim_poll(table, count, after, skip, budgetNs);
}

/** Reads and drops the notify bytes of every row that has any. */
export function drainAll(table: Address, count: number): void {
  shim.shim_drain_all(table, count);
}
