/**
 * Wakes the event loop when a descriptor that Bun cannot watch (/dev/fuse) is readable. Two ways:
 *
 * - epoll: the descriptor is added to Bun's own epoll set, with the user data of one end of a
 *   socket pair in which a byte always waits: Bun reads that byte and calls back. No thread, lowest
 *   latency. It relies on how uSockets dispatches (event -> user data -> recv), so it is used only
 *   if that entry is found; a test covers it.
 * - thread: a thread of the shim waits in poll(2) and sends the byte, once for each `arm`.
 */
import type { Socket } from "bun";
import { findEpollEntry } from "./epoll-entry.ts";
import { closeDescriptor } from "./files.ts";
import { shim } from "./shim.ts";

/** How a descriptor's readiness reaches the event loop. */
export type WakeKind = "epoll" | "thread";

/** A watched descriptor. */
export interface Wake {
  readonly kind: WakeKind;
  /** Requests the next wake-up; to be called after everything available was read. */
  arm(): void;
  /** Ends the watch; to be called before the watched descriptor is closed. */
  close(): void;
}

const BYTE = new Uint8Array(1);
const pair = new Int32Array(2);

/** Hands `fd`, one end of a socket pair, to Bun; calls `onByte` when data arrives. */
async function adopt(fd: number, onByte: () => void, onEnd: () => void): Promise<Socket> {
  const socket = { data: onByte, close: onEnd, error: onEnd };
  // @types/bun does not know that a connected descriptor may be handed over.
  const options = { fd, socket } as unknown as Parameters<typeof Bun.connect>[0];
  return (await Bun.connect(options)) as Socket;
}

/** Sets up the epoll way; undefined if Bun's entry of the pair is not found or `fd` is refused. */
function graft(fd: number, ours: number, theirs: number): (() => void) | undefined {
  const entry = findEpollEntry(theirs);
  if (entry === undefined) return undefined;
  const { set, low, high } = entry;
  if (shim.shim_epoll_add(set, fd, low, high) < 0) return undefined;
  // From now on only `fd` has events with that user data.
  shim.shim_epoll_remove(set, theirs);
  shim.shim_send(ours, BYTE, 1);
  return () => shim.shim_epoll_remove(set, fd);
}

/**
 * Calls `onReady` from the event loop when `fd` is readable or has an error, which a read returns.
 * `kind` selects the way; by default epoll is tried first. A string says why none works.
 */
export async function wakeOn(
  fd: number,
  onReady: () => void,
  kind?: WakeKind,
): Promise<Wake | string> {
  const made = shim.shim_socket_pair(pair);
  if (made < 0) return `no socket pair (errno ${-made})`;
  const [ours = -1, theirs = -1] = pair;
  let detach: (() => void) | undefined;
  const release = (): void => {
    detach?.();
    detach = undefined;
  };
  const refill = (): void => {
    if (detach !== undefined) shim.shim_send(ours, BYTE, 1);
    onReady();
  };
  const ended = (): void => {
    // Bun takes an error of `fd` for one of the pair: remove the entry before Bun frees its data.
    const grafted = detach !== undefined;
    release();
    if (grafted) onReady();
  };
  const socket = await adopt(theirs, refill, ended);
  if (kind !== "thread") detach = graft(fd, ours, theirs);
  if (detach !== undefined) {
    const close = (): void => {
      release();
      closeDescriptor(ours);
      socket.terminate();
    };
    return { kind: "epoll", arm: () => {}, close };
  }
  const wake = kind === "epoll" ? "Bun's epoll set was not found" : byThread(fd, ours, socket);
  if (typeof wake !== "string") return wake;
  closeDescriptor(ours);
  socket.terminate();
  return wake;
}

/** Sets up the thread way; the thread owns `ours`. A string says why there is no thread. */
function byThread(fd: number, ours: number, socket: Socket): Wake | string {
  const control = shim.shim_watch(fd, ours);
  if (control < 0) return `no thread (errno ${-control})`;
  const arm = (): void => {
    shim.shim_send(control, BYTE, 1);
  };
  arm();
  const close = (): void => {
    closeDescriptor(control);
    socket.terminate();
  };
  return { kind: "thread", arm, close };
}
