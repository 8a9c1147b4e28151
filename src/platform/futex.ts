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
 * Looks at `count` semaphores, whose addresses stand in the table at `table`, until one has a
 * value or `budgetNs` is over; its index, or a negative errno. Starts behind index `after`, and
 * leaves out index `skip` (-1: none).
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
