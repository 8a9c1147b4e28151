/**
 * The listening socket of a service, and what can be in its way, each as one sentence for the
 * user: a name too long or taken, /dev/shm missing, no permission.
 */
import type { Socket, SocketHandler } from "bun";
import { unlinkSync } from "node:fs";
import { Errno, errnoName, errnoText } from "../../base/errno.ts";
import { IpcLimits } from "../../base/limits.ts";
import { SHM } from "../../shm/ring-directory.ts";
import { closeDescriptor, Directory } from "../../platform/files.ts";
import { AcceptGate, listenOn, setBacklog, socketPath } from "../../platform/socket.ts";
import { findHolder } from "../../platform/socket-owner.ts";
import type { SetupSocket } from "./setup-socket.ts";

/** Why a service cannot be published. */
export interface ListenFailure {
  readonly error: Errno;
  readonly message: string;
}

/** A published name; closing withdraws it. */
export interface Listener {
  close(): void;
}

/** A fresh connection's Bun socket and its descriptor; returns what its events go to. */
export type Accept = (socket: Socket<SetupSocket>, fd: number) => SetupSocket | undefined;

function fail(error: Errno, message: string): ListenFailure {
  return { error, message };
}

/** Opens /dev/shm, where rings live; checks that directories can be made in it. */
export function openShm(): Directory | ListenFailure {
  const shm = Directory.open(SHM);
  if (typeof shm === "number") {
    const why = `${SHM} cannot be opened (${errnoText(shm)}), and clients get their rings there`;
    return fail(shm, `${why}: mount a tmpfs on it, e.g. mount -t tmpfs tmpfs ${SHM}`);
  }
  const probe = `qb-${process.pid}-0-0-probe`;
  const made = shm.makeSub(probe);
  if (typeof made === "number") {
    shm[Symbol.dispose]();
    const why = `cannot make a directory in ${SHM} (${errnoText(made)}), and clients get their`;
    return fail(made, `${why} rings there: see df -h ${SHM}, df -i ${SHM} and ls -ld ${SHM}`);
  }
  made[Symbol.dispose]();
  shm.removeSub(probe);
  return shm;
}

function taken(name: string): ListenFailure {
  const holder = findHolder(name);
  const who = holder === undefined ? "another process" : `pid ${holder.pid} (${holder.command})`;
  const next = "stop it first, or serve another name with --socket";
  return fail(Errno.EADDRINUSE, `${name} is held by ${who}: ${next}`);
}

function explain(name: string, error: Errno): ListenFailure {
  if (error === Errno.EADDRINUSE) return taken(name);
  const path = socketPath(name);
  const where = path === undefined ? `the abstract socket @${name}` : path;
  return fail(error, `cannot listen on ${where}: ${errnoText(error)} (${errnoName(error)})`);
}

/** A name that no two addresses share, or why not. */
function checkName(name: string): ListenFailure | undefined {
  if (name === "" || name.includes("\0") || name.includes("/")) {
    return fail(
      Errno.EINVAL,
      `"${name}" is no service name: it must be non-empty, without slashes`,
    );
  }
  const longest = Math.min(IpcLimits.serviceNameBytes, IpcLimits.addressPathBytes - 1);
  const bytes = Buffer.byteLength(name, "latin1");
  if (bytes <= longest) return undefined;
  const why = `the service name has ${bytes} bytes, and a socket address holds ${longest}`;
  return fail(Errno.ENAMETOOLONG, `${why}: choose a shorter one with --socket`);
}

/**
 * So many connections are accepted in a turn of the event loop, then everybody else gets theirs:
 * Bun itself would go on for as long as somebody connects, and serve nobody (rule 7).
 */
class AcceptTurns {
  readonly #gate: AcceptGate;
  readonly #perTurn: number;
  #accepted = 0;

  constructor(gate: AcceptGate, perTurn: number) {
    this.#gate = gate;
    this.#perTurn = perTurn;
  }

  /** One more was accepted. */
  count(): void {
    if (this.#accepted === 0) setImmediate(() => this.#next());
    this.#accepted++;
    if (this.#accepted >= this.#perTurn) this.#gate.hold();
  }

  #next(): void {
    this.#accepted = 0;
    this.#gate.release();
  }

  close(): void {
    this.#gate.close();
  }
}

/** Publishes `name`; `accept` gets each connection. */
export function listen(
  name: string,
  settings: { readonly backlog: number; readonly acceptsPerTurn: number },
  accept: Accept,
): Listener | ListenFailure {
  const wrong = checkName(name);
  if (wrong !== undefined) return wrong;
  const fd = listenOn(name, settings.backlog);
  if (fd < 0) return explain(name, fd as Errno);
  const gate = AcceptGate.of(fd);
  if (!(gate instanceof AcceptGate)) {
    closeDescriptor(fd);
    return explain(name, gate);
  }
  const turns = new AcceptTurns(gate, settings.acceptsPerTurn);
  const handlers: SocketHandler<SetupSocket> = {
    open(socket) {
      turns.count();
      const setup = accept(socket, (socket as unknown as { fd: number }).fd);
      if (setup === undefined) socket.terminate();
      else socket.data = setup;
    },
    data: (socket, bytes) => socket.data?.data(bytes),
    drain: (socket) => socket.data?.drain(),
    close: (socket) => socket.data?.hungUp(),
    error: (socket) => socket.data?.hungUp(),
  };
  // `fd` is not in Bun's types for listen, and works (DESIGN.md 4).
  const options = { fd, socket: handlers } as unknown as Parameters<typeof Bun.listen>[0];
  const server = Bun.listen(options as Parameters<typeof Bun.listen<SetupSocket>>[0]);
  // Bun has set it to 512; clients do not wait when the queue is full, they fail with EAGAIN.
  setBacklog(fd, settings.backlog);
  return {
    close() {
      turns.close();
      server.stop();
      const path = socketPath(name);
      if (path !== undefined) removePath(path);
    },
  };
}

function removePath(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody removed it before us; that is what we wanted.
  }
}
