/**
 * A named service: listens, accepts or refuses, keeps the connections, shares the event loop
 * between them, and stops gracefully. Counterpart: qb_ipcs_service (libqb ipcs.c, ipc_setup.c).
 */
import type { Socket } from "bun";
import { Errno, errnoName, errnoText } from "../base/errno.ts";
import { RingDirectory, SHM } from "../shm/ring-directory.ts";
import { RingPool } from "../shm/ring-pool.ts";
import { ringDataBytes } from "../shm/ring-set.ts";
import type { Directory } from "../platform/files.ts";
import { collectSoon } from "../platform/idle.ts";
import { commandOf } from "../platform/processes.ts";
import { peerCredentials } from "../platform/socket.ts";
import { Admission, PendingHandshakes } from "./setup/admission.ts";
import { Connection, type ConnectionHost, type End } from "./connection/connection.ts";
import { Discards } from "./scheduling/ring-disposal.ts";
import { acceptance, refusal } from "./setup/handshake.ts";
import type { Caller, Credentials, Handler, Permissions } from "./handler.ts";
import type { LatencyCounts } from "./connection/latencies.ts";
import { listen, type Listener, type ListenFailure, openShm } from "./setup/listener.ts";
import { PeerLog } from "./setup/peer-log.ts";
import { Poller } from "./scheduling/ring-poller.ts";
import { ScratchPool } from "./connection/request-buffers.ts";
import { type ServiceOptions, type ServiceSettings, settingsOf } from "./options.ts";
import { type Door, SetupSocket } from "./setup/setup-socket.ts";
import {
  addTraffic,
  type ConnectionStats,
  newServiceStats,
  type Refusal,
  type ServiceStats,
  type TrafficTotals,
} from "./connection/stats.ts";
import { sweepDeadServers } from "./setup/sweep.ts";
import { TimedTurns } from "./scheduling/time-sliced-queue.ts";
import { Turns } from "./scheduling/run-queue.ts";

/** One connection, as statistics show it. */
export interface ConnectionReport extends ConnectionStats {
  readonly number: number;
  readonly caller: Caller;
  /** When it was made, ms since the epoch. */
  readonly openedAt: number;
  readonly latencies: LatencyCounts;
}

const STOPPED: End = { reason: "the server stops", violation: false };

/** Between looks at what is still under way at a stop. */
const STOP_STEP_MS = 5;

/** Connects pause for this long before the pool makes the next directory. */
const REFILL_DELAY_MS = 2;

/** A published service. Made by `Service.start`; owns its name, rings and connections. */
export class Service {
  readonly name: string;
  readonly stats: ServiceStats = newServiceStats();
  readonly #settings: ServiceSettings;
  readonly #handler: Handler;
  readonly #log: PeerLog;
  readonly #shm: Directory;
  readonly #pool: RingPool;
  readonly #admission: Admission;
  readonly #expected: PendingHandshakes<SetupSocket>;
  readonly #unwanted: PendingHandshakes<SetupSocket>;
  readonly #connections = new Set<Connection>();
  readonly #setUps: TimedTurns<SetupSocket>;
  /** Accepted, counted by admission, and waiting for their rings. */
  readonly #admitted = new Set<SetupSocket>();
  readonly #discards: Discards;
  readonly #turns: Turns;
  readonly #poller: Poller;
  readonly #host: ConnectionHost;
  readonly #door: Door;
  #listener: Listener | undefined;
  #numbered = 0;

  private constructor(name: string, handler: Handler, settings: ServiceSettings, shm: Directory) {
    this.name = name;
    this.#settings = settings;
    this.#handler = handler;
    this.#shm = shm;
    this.#log = new PeerLog(settings.log);
    this.#pool = new RingPool(shm, name, settings.pooledRings);
    this.#admission = new Admission(settings);
    this.#expected = new PendingHandshakes(settings.pendingHandshakes);
    this.#unwanted = new PendingHandshakes(settings.unwantedHandshakes);
    this.#setUps = new TimedTurns(settings.setUpMsPerTurn, (socket) => this.#setUp(socket));
    this.#discards = new Discards(settings.setUpMsPerTurn);
    this.#poller = new Poller(settings.poll, settings.requestsPerTurn);
    this.#turns = new Turns(settings, (connection, since, served) => {
      this.#poller.heat(connection, since, served);
    });
    this.#host = {
      handler,
      scratch: new ScratchPool(settings.minMessageBytes),
      queuedRequests: settings.queuedRequests,
      outstandingNotifies: settings.outstandingNotifies,
      poll: settings.poll,
      stalled: (connection) => this.#stalled(connection),
      more: (connection) => this.#turns.again(connection),
      ended: (connection, end) => this.#ended(connection, end),
      discard: (rings, peer) => this.#discards.add(rings, peer),
    };
    this.#door = {
      greet: (socket) => this.#greet(socket),
      gone: (socket, why) => this.#gone(socket, why),
      woken: (connection) => this.#woken(connection),
    };
  }

  /**
   * Publishes `name` and serves it until `stop`. A failure says what is in the way: the name is
   * held (EADDRINUSE, with its holder), too long (ENAMETOOLONG), /dev/shm missing or full.
   */
  static start(
    name: string,
    handler: Handler,
    options: ServiceOptions = {},
  ): Service | ListenFailure {
    const settings = settingsOf(options);
    const shm = openShm();
    if ("message" in shm) return shm;
    const service = new Service(name, handler, settings, shm);
    const listener = listen(name, settings, (socket, fd) => service.#accept(socket, fd));
    if ("message" in listener) {
      shm[Symbol.dispose]();
      return listener;
    }
    service.#listener = listener;
    const swept = sweepDeadServers(SHM, shm, name);
    if (swept > 0) settings.log.info(`removed ${swept} ring directories that dead servers left`);
    return service;
  }

  /** Its connections, for statistics. */
  connections(): ConnectionReport[] {
    const reports: ConnectionReport[] = [];
    for (const { number, caller, openedAt, stats, latencies } of this.#connections) {
      reports.push({ number, caller, openedAt, latencies: latencies.counts(), ...stats });
    }
    return reports;
  }

  /** Sums over all connections it ever had. */
  totals(): TrafficTotals {
    const totals = { ...this.stats.closed };
    for (const { stats } of this.#connections) addTraffic(totals, stats);
    return totals;
  }

  /** Handshakes under way, and ring directories that are ready for the next client. */
  get standby(): { readonly handshakes: number; readonly pooledRings: number } {
    const handshakes = this.#expected.size + this.#unwanted.size;
    return { handshakes, pooledRings: this.#pool.readyCount };
  }

  /** Connections there may be at once. */
  get connectionLimit(): number {
    return this.#settings.connections;
  }

  /** Sends an event to one connection; errors as `Peer.sendEvent`, ENOENT: no such number. */
  sendEvent(number: number, id: number, body: Uint8Array): 0 | Errno {
    for (const connection of this.#connections) {
      if (connection.number === number) return connection.sendEvent(id, body);
    }
    return Errno.ENOENT;
  }

  /** Sends an event to every connection; how many took it. */
  broadcastEvent(id: number, body: Uint8Array): number {
    let taken = 0;
    for (const connection of this.#connections) {
      if (connection.sendEvent(id, body) === 0) taken++;
    }
    return taken;
  }

  /**
   * Withdraws the name, answers what is in the rings (for at most `stopDeadlineMs`), ends all
   * connections and removes every file.
   */
  async stop(): Promise<void> {
    if (this.#listener === undefined) return;
    this.#listener.close();
    this.#listener = undefined;
    for (const waiting of [...this.#expected, ...this.#unwanted, ...this.#admitted]) {
      waiting.drop("the server stops");
    }
    const deadline = Date.now() + this.#settings.stopDeadlineMs;
    while (this.#serveAll() && Date.now() < deadline) await Bun.sleep(STOP_STEP_MS);
    for (const connection of this.#connections) connection.end(STOPPED);
    this.#discards.finish();
    this.#pool[Symbol.dispose]();
    this.#shm[Symbol.dispose]();
    this.#log.close();
  }

  /** Serves every ring once; true when something was served or is still under way. */
  #serveAll(): boolean {
    let busy = false;
    for (const connection of this.#connections) {
      const served = connection.serve(this.#settings.requestsPerTurn);
      if (served > 0 || connection.underWay) busy = true;
    }
    return busy;
  }

  #accept(socket: Socket<SetupSocket>, fd: number): SetupSocket | undefined {
    const peer = peerCredentials(fd);
    if (typeof peer === "number") return undefined;
    const verdict = this.#judge(peer);
    const wanted = typeof verdict !== "number";
    const setup = new SetupSocket(socket, fd, peer, verdict, this.#door);
    setup.begin();
    if (!setup.greeting) return setup;
    (wanted ? this.#expected : this.#unwanted).add(setup);
    setup.awaitGreeting(this.#settings.handshakeTimeoutMs);
    return setup;
  }

  #judge(peer: Credentials): Permissions | Errno {
    try {
      return this.#handler.authenticate(peer);
    } catch (error) {
      this.#log.warn(() => `authenticating uid ${peer.uid} failed: ${String(error)}`);
      return Errno.EPERM;
    }
  }

  #settle(socket: SetupSocket): void {
    this.#expected.delete(socket);
    this.#unwanted.delete(socket);
    this.#setUps.forget(socket);
    if (this.#admitted.delete(socket)) this.#admission.remove(socket.peer.uid);
  }

  #gone(socket: SetupSocket, why: string): void {
    this.#settle(socket);
    this.stats.refused.handshake++;
    this.#log.debug(() => `handshake of ${describe(socket.peer)} ended: ${why}`);
  }

  /** Refuses what can be refused at no cost; making rings takes its turn. */
  #greet(socket: SetupSocket): void {
    this.#settle(socket);
    const { peer, verdict, askedBytes } = socket;
    if (typeof verdict === "number") {
      this.#refuse(socket, verdict, "denied", () => {
        const why = this.#reasonFor(peer);
        return `connection from bad user ${peer.uid}! - rejected: ${why}`;
      });
    } else if (askedBytes > this.#settings.maxMessageBytes) {
      const limit = `${this.#settings.maxMessageBytes} bytes are allowed`;
      this.#refuse(socket, Errno.EMSGSIZE, "size", () => {
        return `${describe(peer)} asked for messages of ${askedBytes} bytes; ${limit}`;
      });
    } else if (!this.#admission.allows(peer.uid)) {
      const counts = `${this.stats.activeConnections} of ${this.#settings.connections}`;
      const line = () => `no room for more connections (${counts}): refusing until some close`;
      const say = this.#admission.shouldSayFull() ? line : undefined;
      this.#refuse(socket, Errno.EMFILE, "full", say);
    } else {
      this.#admission.add(peer.uid);
      this.#admitted.add(socket);
      this.#setUps.take(socket);
    }
  }

  #reasonFor(peer: Credentials): string {
    try {
      return this.#handler.refusal?.(peer, commandOf(peer.pid)) ?? describe(peer);
    } catch (error) {
      return `${describe(peer)} (and no reason: ${String(error)})`;
    }
  }

  /** Its turn has come: rings for an accepted peer. */
  #setUp(socket: SetupSocket): void {
    const { peer, verdict } = socket;
    if (typeof verdict === "number") return;
    const messageBytes = Math.max(socket.askedBytes, this.#settings.minMessageBytes);
    const rings = this.#makeRings(socket, ringDataBytes(messageBytes));
    if (typeof rings === "number") {
      const why = `${errnoText(rings)} (${errnoName(rings)})`;
      const line = () => `cannot make rings in ${SHM} for ${describe(peer)}: ${why}`;
      this.#refuse(socket, rings, "resources", line);
      return;
    }
    this.#admitted.delete(socket);
    this.#establish(socket, { ...peer, permissions: verdict }, rings, messageBytes);
  }

  #makeRings(socket: SetupSocket, dataBytes: number): RingDirectory | Errno {
    const spoiled = this.#pool.readyCount > 0 || this.#discards.size > 0;
    const rings = this.#pool.takeFor(socket.peer, socket.fd, dataBytes);
    if (typeof rings !== "number" || !spoiled) return rings;
    // What was ready may be what is in the way: the memory it takes, or what became of it.
    this.#pool.drain();
    this.#discards.finish();
    return this.#pool.takeFor(socket.peer, socket.fd, dataBytes);
  }

  #establish(
    socket: SetupSocket,
    caller: Caller,
    rings: RingDirectory,
    messageBytes: number,
  ): void {
    this.#host.scratch.grow(messageBytes);
    const number = ++this.#numbered;
    const connection = new Connection(number, caller, rings, messageBytes, socket, this.#host);
    this.#connections.add(connection);
    this.stats.activeConnections++;
    socket.answer(acceptance(rings, messageBytes, number));
    this.#discards.takeChance();
    this.#pool.refillLater(rings.dataBytes, REFILL_DELAY_MS);
    this.#tell(() => this.#handler.connected?.(connection));
    if (!connection.ended) socket.become(connection);
  }

  /** Tells the handler something it cannot refuse, whatever it throws. */
  #tell(what: () => void): void {
    try {
      what();
    } catch (error) {
      this.#log.warn(() => `the handler failed: ${String(error)}`);
    }
  }

  #refuse(
    socket: SetupSocket,
    error: Errno,
    refusalKind: Refusal,
    line: (() => string) | undefined,
  ): void {
    this.#settle(socket);
    this.stats.refused[refusalKind]++;
    if (line !== undefined) this.#log.warn(line);
    socket.refuse(refusal(error));
  }

  #woken(connection: Connection): void {
    const since = this.#poller.woke(connection);
    const served = connection.wake(this.#settings.requestsPerTurn);
    if (served > 0) this.#poller.heat(connection, since, served);
  }

  #stalled(connection: Connection): void {
    this.#poller.cool(connection);
    this.#turns.stalled(connection);
  }

  #ended(connection: Connection, { reason, violation }: End): void {
    if (!this.#connections.delete(connection)) return;
    const { caller, stats } = connection;
    this.#poller.cool(connection);
    this.#turns.forget(connection);
    this.#admission.remove(caller.uid);
    this.stats.activeConnections--;
    this.stats.closedConnections++;
    collectSoon();
    addTraffic(this.stats.closed, stats);
    if (violation) {
      this.stats.violations++;
      this.#log.warn(() => `disconnecting ${describe(caller)}: it ${reason}`);
    } else {
      const line = `${describe(caller)} after ${stats.requests} requests: ${reason}`;
      this.#log.debug(() => `connection ${connection.number} of ${line}`);
    }
    this.#tell(() => this.#handler.disconnected?.(connection));
  }
}

/** `pid 12 (perl), uid 33, gid 33` */
function describe({ pid, uid, gid }: Credentials): string {
  return `pid ${pid} (${commandOf(pid)}), uid ${uid}, gid ${gid}`;
}
