/**
 * The listening socket of a service. If a name cannot be published, one sentence gives the user the
 * reason: the name is too long or taken, /dev/shm is missing, no permission.
 */
import { unlinkSync } from "node:fs";
import { Errno, errnoName, errnoText } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { newDirectoryName, SHM } from "../../shm/ring-directory.ts";
import { Directory } from "../../platform/files.ts";
import { Ready } from "../../platform/epoll.ts";
import {
  acceptOn,
  closeSocket,
  listenOn,
  maxNameBytes,
  socketPath,
} from "../../platform/socket.ts";
import { findSocketOwner } from "../../platform/socket-owner.ts";
import type { SocketEvents, SocketLoop } from "./socket-loop.ts";

/** Why a service cannot be published. */
export interface ListenFailure {
  readonly error: Errno;
  readonly message: string;
}

/** A published name; closing withdraws it. */
export interface Listener {
  close(): void;
}

/** Takes over the descriptor of a new connection. Never throws. */
export type Accept = (fd: number) => void;

function fail(error: Errno, message: string): ListenFailure {
  return { error, message };
}

/**
 * Opens /dev/shm, the place of the rings; checks that directories can be made in it. That it is out
 * of inodes is no failure: any user can use them up, and the search for the directories of dead
 * servers, which comes after this, may free some.
 */
export function openShm(log: Log): Directory | ListenFailure {
  const shm = Directory.open(SHM);
  if (typeof shm === "number") {
    const why = `${SHM} cannot be opened (${errnoText(shm)}), and clients get their rings there`;
    return fail(shm, `${why}: mount a tmpfs on it, e.g. mount -t tmpfs tmpfs ${SHM}`);
  }
  // A new name: any user can make directories in /dev/shm.
  const probe = newDirectoryName(0, 0);
  const made = shm.makeSub(probe);
  if (made === Errno.ENOSPC) {
    log.warn(`${SHM} is out of inodes: clients are refused until it has some; see df -i ${SHM}`);
    return shm;
  }
  if (typeof made === "number") {
    shm[Symbol.dispose]();
    const why = `cannot make a directory in ${SHM} (${errnoText(made)}), and clients get their`;
    return fail(made, `${why} rings there: see df -h ${SHM}, df -i ${SHM} and ls -ld ${SHM}`);
  }
  warnIfNotSharable(made, log);
  made[Symbol.dispose]();
  shm.removeSub(probe);
  return shm;
}

/** Any uid except root's and our own. */
const ANOTHER_UID = 65_534;

/** Warns at the start when this server can neither give files away nor use access lists. */
function warnIfNotSharable(directory: Directory, log: Log): void {
  if (directory.give(ANOTHER_UID, ANOTHER_UID, 0o700) === 0) return;
  if (directory.share(ANOTHER_UID) === 0) return;
  const uid = process.geteuid?.();
  log.warn(
    `uid ${uid} may not give files to others, and ${SHM} has no access lists: clients with other ` +
      `uids are refused (--allow-uid included), but for root and members of this process's groups`,
  );
}

function taken(name: string): ListenFailure {
  const owner = findSocketOwner(name);
  const who = owner === undefined ? "another process" : `pid ${owner.pid} (${owner.command})`;
  const next = "stop it first, or serve another name with --socket";
  return fail(Errno.EADDRINUSE, `${name} is held by ${who}: ${next}`);
}

function explain(name: string, error: Errno): ListenFailure {
  if (error === Errno.EADDRINUSE) return taken(name);
  const path = socketPath(name);
  const where = path === undefined ? `the abstract socket @${name}` : path;
  return fail(error, `cannot listen on ${where}: ${errnoText(error)} (${errnoName(error)})`);
}

function checkName(name: string): ListenFailure | undefined {
  if (name === "" || name.includes("\0") || name.includes("/")) {
    return fail(
      Errno.EINVAL,
      `"${name}" is no service name: it must be non-empty, without slashes`,
    );
  }
  const longest = maxNameBytes();
  const bytes = Buffer.byteLength(name, "latin1");
  if (bytes <= longest) return undefined;
  const why = `the service name has ${bytes} bytes, and a socket address holds ${longest}`;
  return fail(Errno.ENAMETOOLONG, `${why}: choose a shorter one with --socket`);
}

/** Delay of the next accept(2) when descriptors or memory have run out. */
const RETRY_MS = 100;

/**
 * The listening socket in the event loop. Accepts a bounded number of connections per turn, so that
 * many connects at once do not block other work; if no descriptor is left, it pauses instead of
 * spinning.
 */
class AcceptingSocket implements Listener, SocketEvents {
  readonly #fd: number;
  readonly #loop: SocketLoop;
  readonly #perTurn: number;
  readonly #accept: Accept;
  readonly #path: string | undefined;
  #token = -1;
  #retry: Timer | undefined;

  constructor(fd: number, name: string, loop: SocketLoop, options: ListenOptions) {
    this.#fd = fd;
    this.#loop = loop;
    this.#perTurn = options.acceptsPerTurn;
    this.#accept = options.accept;
    this.#path = socketPath(name);
  }

  begin(): 0 | Errno {
    const token = this.#loop.add(this.#fd, this);
    if (token < 0) return token as Errno;
    this.#token = token;
    return 0;
  }

  onReadable(): void {
    for (let accepted = 0; accepted < this.#perTurn; accepted++) {
      const fd = acceptOn(this.#fd);
      if (fd >= 0) this.#accept(fd);
      else if (fd === Errno.EAGAIN) return;
      // ECONNABORTED: the peer has closed already. EINTR: a signal.
      else if (fd !== Errno.ECONNABORTED && fd !== Errno.EINTR) {
        this.#pause();
        return;
      }
    }
  }

  /** No descriptor is left, and the socket stays readable: stops watching it for RETRY_MS. */
  #pause(): void {
    this.#loop.change(this.#fd, this.#token, 0, false);
    this.#retry = setTimeout(() => {
      this.#loop.change(this.#fd, this.#token, Ready.READ, false);
    }, RETRY_MS);
  }

  // None of these comes for a listening socket, and `accept` never throws.
  onWritable(): void {}
  onHangUp(): void {}
  onFailure(): void {}

  close(): void {
    clearTimeout(this.#retry);
    this.#loop.remove(this.#fd, this.#token);
    closeSocket(this.#fd);
    if (this.#path !== undefined) removePath(this.#path);
  }
}

/** The settings of a listening socket, and the receiver of its connections. */
export interface ListenOptions {
  readonly backlog: number;
  readonly acceptsPerTurn: number;
  readonly accept: Accept;
}

/** Publishes `name`; `options.accept` gets the descriptor of each connection. */
export function listen(
  name: string,
  loop: SocketLoop,
  options: ListenOptions,
): Listener | ListenFailure {
  const wrong = checkName(name);
  if (wrong !== undefined) return wrong;
  const fd = listenOn(name, options.backlog);
  if (fd < 0) return explain(name, fd as Errno);
  const listener = new AcceptingSocket(fd, name, loop, options);
  const failed = listener.begin();
  if (failed === 0) return listener;
  closeSocket(fd);
  return explain(name, failed);
}

function removePath(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Another process removed it first: the result is the same.
  }
}
