/** Prepared ring directories: when they are made. */
import { expect, test } from "bun:test";
import { Directory } from "../../src/platform/files.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { SHM } from "../../src/shm/ring-directory.ts";
import { RingPool } from "../../src/shm/ring-pool.ts";
import { eventually } from "../support/eventually.ts";

const SELF = { pid: process.pid, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const NEVER_MS = 1e9;

test("the first directory is made soon, the others after a pause without a connect", async () => {
  using kept = new DisposableStack();
  const shm = Directory.open(SHM);
  if (typeof shm === "number") throw new Error(`${SHM}: errno ${-shm}`);
  kept.use(shm);
  const pool = kept.use(new RingPool(shm, `pool-${process.pid}`, 2));

  pool.refillLater(PAGE_BYTES, NEVER_MS);
  // Not in the turn of the answer: requests and sockets come first.
  expect(pool.readyCount).toBe(0);
  await eventually("one is ready", () => pool.readyCount === 1);

  const taken = pool.takeFor(SELF, 9, PAGE_BYTES);
  if (typeof taken === "number") throw new Error(`no rings: errno ${-taken}`);
  kept.use(taken);
  expect(pool.readyCount).toBe(0);
  pool.refillLater(PAGE_BYTES, NEVER_MS);
  await eventually("the next is ready", () => pool.readyCount === 1);

  pool.refillLater(PAGE_BYTES, 1);
  await eventually("both are ready", () => pool.readyCount === 2);
});
