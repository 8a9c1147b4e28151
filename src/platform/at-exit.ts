/**
 * Removes what must not outlive this process (rings, the mount) if the process exits before the
 * owner has removed it: after a second SIGTERM during a stop, an uncaught exception, or
 * process.exit(). SIGKILL cannot be handled.
 */

const pending = new Set<() => void>();

function undoAll(): void {
  for (const undo of pending) {
    try {
      undo();
    } catch {
      // The process is ending: continue with the others.
    }
  }
}

/** Calls `undo`, which must be synchronous, when the process exits, unless disposed before. */
export function atExit(undo: () => void): Disposable {
  if (pending.size === 0) process.on("exit", undoAll);
  pending.add(undo);
  return {
    [Symbol.dispose]: () => {
      if (pending.delete(undo) && pending.size === 0) process.off("exit", undoAll);
    },
  };
}
