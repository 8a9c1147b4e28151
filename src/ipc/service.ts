/**
 * A named service: listens, accepts or refuses clients, owns the connections, divides the event
 * loop between them, and stops gracefully. Counterpart: qb_ipcs_service (libqb ipcs.c,
 * ipc_setup.c).
 */
import { counted } from "../base/counted.ts";
import { Errno } from "../base/errno.ts";
import { TimeSlices } from "../base/turns.ts";
import type { Directory } from "../platform/files.ts";
import { collectSoon } from "../platform/runtime-settings.ts";
import { sweepStaleDirectories } from "../shm/stale-directories.ts";
import { type CloseReason, STOPPED } from "./connection/close-reason.ts";
import { Connection, type ConnectionCallbacks } from "./connection/connection.ts";
import type { LatencyCounts } from "./connection/latencies.ts";
import { RequestBuffers } from "./connection/request-buffers.ts";
import {
  addTraffic,
  type ConnectionStats,
  newServiceStats,
  type ServiceStats,
  type TrafficTotals,
} from "./connection/stats.ts";
import type { Caller, Handler } from "./handler.ts";
import {
  type Capacity,
  capacityOf,
  type ServiceOptions,
  type ServiceSettings,
  settingsOf,
} from "./options.ts";
import { RingDisposal } from "./scheduling/ring-disposal.ts";
import { TURN_MS } from "./scheduling/run-queue.ts";
import { Scheduler } from "./scheduling/scheduler.ts";
import { ConnectionSetup, type Established } from "./setup/connection-setup.ts";
import { acceptance } from "./setup/handshake.ts";
import { listen, type Listener, type ListenFailure, openShm } from "./setup/listener.ts";
import { PeerLog } from "./setup/peer-log.ts";
import { describePeer } from "./setup/refusal-texts.ts";
import type { SetupSocket } from "./setup/setup-socket.ts";
import { SocketLoop } from "./setup/socket-loop.ts";

/** Statistics of one connection. */
export interface ConnectionReport extends ConnectionStats {
  readonly number: number;
  readonly caller: Caller;
  /** When the connection was made, in ms since the epoch. */
  readonly openedAt: number;
  readonly latencies: LatencyCounts;
}

/** Interval of the checks for requests still in progress at a stop. */
const STOP_STEP_MS = 5;

/** A published service. Made by `Service.start`; owns its name, rings and connections. */
export class Service {
  readonly name: string;
  readonly stats: ServiceStats = newServiceStats();
  readonly #settings: ServiceSettings;
  readonly #handler: Handler;
  readonly #log: PeerLog;
  readonly #shm: Directory;
  readonly #connections = new Set<Connection>();
  /**
   * The last one that ended. When no object of a shape is left, the collector takes the shape, and
   * with it the code that was compiled for it: the next client would be served by slow code.
   */
  readonly #ended: Connection[] = [];
  readonly #setup: ConnectionSetup;
  readonly #disposal: RingDisposal;
  readonly #sockets: SocketLoop;
  readonly #scheduler: Scheduler;
  readonly #callbacks: ConnectionCallbacks;
  #listener: Listener | undefined;
  #lastNumber = 0;

  private constructor(
    name: string,
    handler: Handler,
    settings: ServiceSettings,
    shm: Directory,
    sockets: SocketLoop,
  ) {
    this.name = name;
    this.#settings = settings;
    this.#handler = handler;
    this.#shm = shm;
    this.#sockets = sockets;
    this.#log = new PeerLog(settings.log);
    this.#disposal = new RingDisposal(settings.setUpMsPerTurn);
    this.#scheduler = new Scheduler(settings, sockets);
    this.#callbacks = {
      handler,
      buffers: new RequestBuffers(settings.minMessageBytes),
      queuedRequests: settings.queuedRequests,
      outstandingNotifies: settings.outstandingNotifies,
      poll: settings.poll,
      onStalled: (connection) => this.#scheduler.stalled(connection),
      onMore: (connection) => this.#scheduler.again(connection),
      onEnded: (connection, reason) => this.#onEnded(connection, reason),
      dispose: (rings, peer) => this.#disposal.add(rings, peer),
    };
    this.#setup = new ConnectionSetup(name, handler, settings, {
      log: this.#log,
      stats: this.stats,
      shm,
      sockets,
      disposal: this.#disposal,
      onEstablished: (socket, established) => this.#onEstablished(socket, established),
      onNotify: (connection) => this.#scheduler.notified(connection),
    });
  }

  /**
   * Publishes `name` and serves it until `stop`. A failure says what prevents it: the name is taken
   * (EADDRINUSE, with its owner), the name is too long (ENAMETOOLONG), /dev/shm is missing.
   */
  static start(
    name: string,
    handler: Handler,
    options: ServiceOptions = {},
  ): Service | ListenFailure {
    const settings = settingsOf(options);
    using undo = new DisposableStack();
    const shm = openShm(settings.log);
    if ("message" in shm) return shm;
    undo.use(shm);
    const sockets = SocketLoop.make();
    if (typeof sockets === "number") {
      return { error: sockets, message: `no epoll set (errno ${-sockets}): raise ulimit -n` };
    }
    undo.use(sockets);
    const service = new Service(name, handler, settings, shm, sockets);
    const accept = (fd: number): void => service.#setup.accept(fd);
    const listener = listen(name, sockets, { ...settings, accept });
    if ("message" in listener) return listener;
    undo.move();
    service.#listener = listener;
    void service.#sweep();
    return service;
  }

  async #sweep(): Promise<void> {
    const isStopped = (): boolean => this.#listener === undefined;
    const swept = await sweepStaleDirectories(this.#shm, this.name, isStopped);
    if (swept === 0) return;
    const directories = counted(swept, "ring directory");
    this.#settings.log.info(`removed ${directories} left by dead servers`);
  }

  /** Statistics of the current connections. */
  connections(): ConnectionReport[] {
    const reports: ConnectionReport[] = [];
    for (const { number, caller, openedAt, stats, latencies } of this.#connections) {
      reports.push({ number, caller, openedAt, latencies: latencies.counts(), ...stats });
    }
    return reports;
  }

  /** Sums over all connections, past ones included. */
  totals(): TrafficTotals {
    const totals = { ...this.stats.closed };
    for (const { stats } of this.#connections) addTraffic(totals, stats);
    return totals;
  }

  /** Pending handshakes, and ring directories that are ready for the next clients. */
  get standby(): { readonly handshakes: number; readonly pooledRings: number } {
    return { handshakes: this.#setup.pendingCount, pooledRings: this.#setup.pooledRings };
  }

  /** Most connections at once, without root's reserve. */
  get connectionLimit(): number {
    return this.#settings.connections;
  }

  /** True while this service polls for a client's next request, or an event waits for the loop. */
  get needsLoop(): boolean {
    return this.#scheduler.isPolling || this.#sockets.isLoopReady;
  }

  /** How many connections there is room for, by which limit. */
  get capacity(): Capacity {
    return capacityOf(this.#settings);
  }

  /** Sends an event to one connection. Errors of `Peer.sendEvent`; ENOENT: no such connection. */
  sendEvent(number: number, id: number, body: Uint8Array): 0 | Errno {
    for (const connection of this.#connections) {
      if (connection.number === number) return connection.sendEvent(id, body);
    }
    return Errno.ENOENT;
  }

  /** Sends an event to every connection; returns on how many that succeeded. */
  broadcastEvent(id: number, body: Uint8Array): number {
    let taken = 0;
    for (const connection of this.#connections) {
      if (connection.sendEvent(id, body) === 0) taken++;
    }
    return taken;
  }

  /**
   * Withdraws the name, answers the requests in the rings (for at most `stopDeadlineMs`), ends all
   * connections and removes their files. With thousands of connections that takes seconds, in which
   * the mount and the cluster still need the event loop: so it is done in slices.
   */
  async stop(): Promise<void> {
    if (this.#listener === undefined) return;
    this.#listener.close();
    this.#listener = undefined;
    this.#setup.stop();
    const deadline = performance.now() + this.#settings.stopDeadlineMs;
    while ((await this.#serveAll()) && performance.now() < deadline) {
      await Bun.sleep(STOP_STEP_MS);
    }
    await this.#inSlices((connection) => connection.end(STOPPED));
    await this.#disposal.finish();
    this.#sockets[Symbol.dispose]();
    this.#shm[Symbol.dispose]();
    this.#log.close();
  }

  /** Serves every ring once; true when a request was served or a reply is pending. */
  async #serveAll(): Promise<boolean> {
    let busy = false;
    await this.#inSlices((connection) => {
      if (this.#scheduler.serveLast(connection)) busy = true;
    });
    return busy;
  }

  /** Calls `action` for each connection, for at most 2 ms per turn of the event loop. */
  async #inSlices(action: (connection: Connection) => void): Promise<void> {
    const slices = new TimeSlices(TURN_MS);
    for (const connection of this.#connections) {
      action(connection);
      if (slices.isOver) await slices.next();
    }
  }

  #onEstablished(socket: SetupSocket, { caller, rings, messageBytes }: Established): Connection {
    this.#callbacks.buffers.grow(messageBytes);
    const number = ++this.#lastNumber;
    const connection = new Connection(number, caller, rings, messageBytes, socket, this.#callbacks);
    this.#connections.add(connection);
    this.stats.activeConnections++;
    socket.admit(connection, acceptance(rings, messageBytes, number));
    this.#notifyHandler(() => this.#handler.connected?.(connection));
    return connection;
  }

  /** Calls a notification of the handler; what it throws is only logged. */
  #notifyHandler(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.failure("the handler failed", error);
    }
  }

  #onEnded(connection: Connection, { kind, reason, error }: CloseReason): void {
    if (!this.#connections.delete(connection)) return;
    this.#ended[0] = connection;
    const { caller, stats, number } = connection;
    this.#scheduler.forget(connection);
    this.#setup.forget(connection);
    this.stats.activeConnections--;
    this.stats.closedConnections++;
    collectSoon();
    addTraffic(this.stats.closed, stats);
    if (kind === "violation") {
      this.stats.violations++;
      this.#log.warn(() => `disconnecting ${describePeer(caller)}: it ${reason}`);
    } else if (kind === "failure") {
      this.#log.failure(`disconnecting ${describePeer(caller)}: ${reason}`, error);
    } else {
      const line = `${describePeer(caller)} after ${counted(stats.requests, "request")}: ${reason}`;
      this.#log.debug(() => `connection ${number} of ${line}`);
    }
    this.#notifyHandler(() => this.#handler.disconnected?.(connection));
  }
}
