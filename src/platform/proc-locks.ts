/** Locks of files, from the table in /proc/locks (proc(5)). */

/**
 * The processes that hold a lock on the file with this inode number; with `bytes`, on any of those
 * (the first and the last one). A process that waits for a lock is left out.
 */
export function lockHoldersIn(
  table: string,
  inode: number,
  bytes: readonly [number, number] = [0, Infinity],
): number[] {
  return table.split("\n").flatMap((line) => {
    // 1: POSIX  ADVISORY  READ 4711 08:01:1234 124 124; a waiter has "->" after the number.
    const words = line.trim().split(/\s+/);
    if (words[1] === "->") return [];
    const pid = Number(words[4]);
    const last = words[7] === "EOF" ? Infinity : Number(words[7]);
    if (Number(words[6]) > bytes[1] || last < bytes[0]) return [];
    return words[5]?.endsWith(`:${inode}`) === true && pid > 0 ? pid : [];
  });
}
