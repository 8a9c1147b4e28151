/**
 * How long the field tests run: short in CI; by hand, as long as in the reports from the field, and
 * with their limits: PMXCFS_IPC_FIELD=long bun test test/corosync/field (docs/cluster.md).
 */
export const LONG = process.env["PMXCFS_IPC_FIELD"] === "long";

/**
 * The limit for a measured time. In CI other tests share the processors; there the limit only
 * distinguishes immediate operations from those that wait for another node, which takes seconds.
 */
export function limitMs(ms: number): number {
  return LONG ? ms : Math.max(5 * ms, ms + 500);
}
