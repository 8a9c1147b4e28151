/**
 * Removes what must not outlive this process (rings, the mount) when the process exits before the
 * owner has removed it: a second SIGTERM during a stop, an uncaught exception, process.exit().
 * Nothing can be done for SIGKILL.
 */

const pending = new Set<() => void>();

function undoAll(): void {
  for (const undo of pending) {
    try {
      undo();
    } catch {
      // The others are still to be undone, and the process ends.
    }
  }
}

/** Calls `undo`, which must be synchronous, at the exit; not any more once disposed. */
export function atExit(undo: () => void): Disposable {
  if (pending.size === 0) process.on("exit", undoAll);
  pending.add(undo);
  return {
    [Symbol.dispose]: () => {
      if (pending.delete(undo) && pending.size === 0) process.off("exit", undoAll);
    },
  };
}
