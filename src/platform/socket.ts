/**
 * The setup socket's system calls: listen and connect with libqb's full 110-byte address, peer
 * credentials, and the non-blocking reads and writes of a client without an event loop.
 */
import { existsSync } from "node:fs";
import { Errno } from "../base/errno.ts";
import { cString, shim } from "./shim.ts";

/** When this file exists, services are paths under /run instead of abstract names (libqb). */
const FORCE_FILESYSTEM_SOCKETS = "/etc/libqb/force-filesystem-sockets";

/** Who is at the other end, as the kernel knows it (SO_PEERCRED). */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Listens on `name`; a descriptor, or EADDRINUSE, EACCES and what else bind(2) says. */
export function listenOn(name: string, backlog: number): number {
  return shim.shim_listen(cString(name), backlog);
}

/** Sets how many connections may wait to be accepted by listening socket `fd`. */
export function setBacklog(fd: number, backlog: number): void {
  shim.shim_backlog(fd, backlog);
}

const pair = new Int32Array(2);

/**
 * Stops a listening socket's accept loop and lets it go on: while held, its descriptor `fd` stands
 * for a socket nobody can connect to, and its queue waits. Owns two descriptors until closed.
 */
export class AcceptGate {
  readonly #fd: number;
  readonly #listener: number;
  readonly #empty: number;
  #held = false;

  private constructor(fd: number, listener: number, empty: number) {
    this.#fd = fd;
    this.#listener = listener;
    this.#empty = empty;
  }

  static of(fd: number): AcceptGate | Errno {
    const result = shim.shim_accept_hold(fd, pair);
    if (result < 0) return result as Errno;
    const [listener = -1, empty = -1] = pair;
    return new AcceptGate(fd, listener, empty);
  }

  hold(): void {
    if (!this.#held) this.#held = shim.shim_replace(this.#empty, this.#fd) === 0;
  }

  release(): void {
    if (this.#held) this.#held = shim.shim_replace(this.#listener, this.#fd) !== 0;
  }

  /** Before the listening descriptor itself is closed. */
  close(): void {
    this.release();
    shim.shim_close(this.#listener);
    shim.shim_close(this.#empty);
  }
}

/** The path of a service's socket where libqb is told to use the file system, else undefined. */
export function socketPath(name: string): string | undefined {
  return existsSync(FORCE_FILESYSTEM_SOCKETS) ? `/run/${name}` : undefined;
}

/** Connects to `name`; a descriptor, or ECONNREFUSED (nobody listens), EAGAIN (backlog full). */
export function connectTo(name: string): number {
  return shim.shim_connect(cString(name));
}

/** Whose credentials a peer is shown. Only root may show others than its own. */
export type Identity = Pick<Credentials, "uid" | "gid">;

/** As `connectTo`, seen by the peer as `identity`; EPERM when this process may not. */
export function connectAs(name: string, { uid, gid }: Identity): number {
  return shim.shim_connect_as(cString(name), uid | 0, gid | 0);
}

/** As `sendBytes`, seen by the peer as `identity`. */
export function sendBytesAs(fd: number, bytes: Uint8Array, { uid, gid }: Identity): number {
  return shim.shim_send_as(fd, bytes, bytes.byteLength, uid | 0, gid | 0);
}

/** nobody, nogroup: anybody but root. */
const SOMEBODY: Identity = { uid: 65_534, gid: 65_534 };

/** Whether this process may be seen as others: root, with the capabilities of root. */
export function mayShowOthers(): boolean {
  // No service has the empty name: only the change of ids is tried.
  const result = connectAs("", SOMEBODY);
  if (result >= 0) shim.shim_close(result);
  return result !== Errno.EPERM && result !== Errno.EINVAL;
}

const peer = new Int32Array(3);

/** Credentials of the peer of `fd` at the time it connected. */
export function peerCredentials(fd: number): Credentials | Errno {
  const result = shim.shim_peer(fd, peer);
  if (result < 0) return result as Errno;
  const [pid = 0, uid = 0, gid = 0] = peer;
  return { pid, uid: uid >>> 0, gid: gid >>> 0 };
}

/** Sends without blocking; bytes sent, or EAGAIN, EPIPE, ... */
export function sendBytes(fd: number, bytes: Uint8Array): number {
  return shim.shim_send(fd, bytes, bytes.byteLength);
}

/** Receives without blocking; bytes received, 0 at the end of the stream, or EAGAIN, ... */
export function receiveBytes(fd: number, bytes: Uint8Array): number {
  return shim.shim_receive(fd, bytes, bytes.byteLength);
}

/** Notify bytes that one `drainNotifies` takes at most. */
export const DRAIN_BYTES = 256;

/** Reads and drops up to DRAIN_BYTES notify bytes; how many. The end of the stream stays. */
export function drainNotifies(fd: number): number {
  return shim.shim_drain(fd);
}
