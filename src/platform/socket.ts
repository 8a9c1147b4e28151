/**
 * System calls of the setup socket: listen and connect with libqb's full 110-byte address, peer
 * credentials, non-blocking reads and writes.
 */
import { existsSync } from "node:fs";
import { Errno } from "../base/errno.ts";
import { IpcLimits } from "../base/limits.ts";
import { cString, shim } from "./shim.ts";

/** If this file exists, libqb uses paths below /run instead of abstract names. */
const FORCE_FILESYSTEM_SOCKETS = "/etc/libqb/force-filesystem-sockets";
const RUN = "/run/";

/** The process at the other end, as the kernel reports it. */
export interface Credentials {
  /** 0 if the process is in a pid namespace that is not visible here. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Listens on `name`; a descriptor, or EADDRINUSE, EACCES and other errnos of bind(2). */
export function listenOn(name: string, backlog: number): number {
  return shim.shim_listen(cString(name), backlog);
}

/** The next connection of listening socket `fd`; a descriptor, or EAGAIN, EMFILE, ENFILE, ... */
export function acceptOn(fd: number): number {
  return shim.shim_accept(fd);
}

/** Whether libqb uses paths in the file system on this host. */
function usesFileSystem(): boolean {
  return existsSync(FORCE_FILESYSTEM_SOCKETS);
}

/** The path of a service's socket if libqb uses the file system, else undefined. */
export function socketPath(name: string): string | undefined {
  return usesFileSystem() ? `${RUN}${name}` : undefined;
}

/**
 * Most bytes of a service name: what fits into sun_path beside a NUL, which precedes an abstract
 * name and ends a path. libqb truncates a longer name, which may then equal another service's.
 */
export function maxNameBytes(inFileSystem = usesFileSystem()): number {
  return IpcLimits.addressPathBytes - 1 - (inFileSystem ? RUN.length : 0);
}

/** Connects to `name`; a descriptor, or ECONNREFUSED (no listener), EAGAIN (backlog full). */
export function connectTo(name: string): number {
  return shim.shim_connect(cString(name));
}

/** The ids that a peer sees. Only root may send ids that are not its own. */
export type Identity = Pick<Credentials, "uid" | "gid">;

/** As `connectTo`, seen by the peer as `identity`; EPERM when this process may not. */
export function connectAs(name: string, { uid, gid }: Identity): number {
  return shim.shim_connect_as(cString(name), uid | 0, gid | 0);
}

/** As `sendBytes`, seen by the peer as `identity`. */
export function sendBytesAs(fd: number, bytes: Uint8Array, { uid, gid }: Identity): number {
  return shim.shim_send_as(fd, bytes, bytes.byteLength, uid | 0, gid | 0);
}

/** nobody and nogroup: ids that are not root's. */
const UNPRIVILEGED: Identity = { uid: 65_534, gid: 65_534 };

/** Whether this process may connect with other ids: root, with CAP_SETUID and CAP_SETGID. */
export function mayUseOtherIds(): boolean {
  // No service has an empty name: this only tests whether the ids can be changed.
  const result = connectAs("", UNPRIVILEGED);
  if (result >= 0) shim.shim_close(result);
  return result !== Errno.EPERM && result !== Errno.EINVAL;
}

const peer = new Int32Array(3);

/** pid and effective ids of the peer of `fd` at the time it connected (SO_PEERCRED). */
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

/**
 * Receives without blocking; bytes received, 0 at the end of the stream, or EAGAIN, ... EBADMSG:
 * descriptors are passed with the bytes (before Linux 6.16; later the sender gets EPERM).
 */
export function receiveBytes(fd: number, bytes: Uint8Array): number {
  return shim.shim_receive(fd, bytes, bytes.byteLength);
}

const sender = new Int32Array(3);

/**
 * As `receiveBytes`, for a socket from `acceptOn`: `from` is the sender's pid and real ids
 * (SCM_CREDENTIALS); undefined if nothing was received or the kernel attached none.
 */
export function receiveFrom(
  fd: number,
  bytes: Uint8Array,
): { readonly received: number; readonly from: Credentials | undefined } {
  const received = shim.shim_receive_from(fd, bytes, bytes.byteLength, sender);
  const [pid = -1, uid = 0, gid = 0] = sender;
  if (received <= 0 || pid < 0) return { received, from: undefined };
  return { received, from: { pid, uid: uid >>> 0, gid: gid >>> 0 } };
}

/**
 * Closes a socket from this file. Descriptors that are passed in it and not received do not make it
 * wait (native/shim.c).
 */
export function closeSocket(fd: number): void {
  shim.shim_close_socket(fd);
}

/** Turns credentials on `fd` off: attaching them to each message costs the sender time. */
export function stopCredentials(fd: number): void {
  shim.shim_stop_credentials(fd);
}
