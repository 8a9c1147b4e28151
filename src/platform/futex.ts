/** Waiting and waking on semaphores that processes share, which JS Atomics cannot do. */
import { shim, type Address } from "./shim.ts";

/** Wakes one waiter of the semaphore at `address`. */
export function wakeOne(address: Address): void {
  shim.shim_wake(address);
}

/**
 * Decrements the semaphore at `address`: spins for `spinUs`, then sleeps, `timeoutUs` at most in
 * total; false: timed out. Blocks the event loop: only for clients in their own process.
 */
export function takeWaiting(address: Address, spinUs: number, timeoutUs: number): boolean {
  return shim.shim_wait(address, spinUs, timeoutUs) === 1;
}

/**
 * Polls the semaphores of the first `count` rows of a table (struct polled_ring of native/shim.c)
 * until one is not 0, at most for `budgetNs`; returns its index, or ETIMEDOUT. Starts after index
 * `after` and omits index `skip` (-1: none). Drains notify bytes of a row that has many.
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

/** Drains the notify bytes of every row that has any. */
export function drainAll(table: Address, count: number): void {
  shim.shim_drain_all(table, count);
}
