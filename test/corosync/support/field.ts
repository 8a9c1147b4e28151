/**
 * How long the tests of the field run: short in CI; as long as the reports demand, and with their
 * limits, by hand: PMXCFS_IPC_FIELD=long bun test test/corosync/field (docs/cluster.md).
 */
export const LONG = process.env["PMXCFS_IPC_FIELD"] === "long";

/**
 * The limit that a measured time has to keep. Other tests share the processors of CI, where a limit
 * tells apart what is done at once and what waits for another node, which takes seconds.
 */
export function limitMs(ms: number): number {
  return LONG ? ms : Math.max(5 * ms, ms + 500);
}
