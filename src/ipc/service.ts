/**
 * A named service: listens, accepts or refuses, keeps the connections, shares the event loop
 * between them, and stops gracefully. Counterpart: qb_ipcs_service (libqb ipcs.c, ipc_setup.c).
 */
import { Errno } from "../base/errno.ts";
import { RingDirectory } from "../shm/ring-directory.ts";
import { RingPool } from "../shm/ring-pool.ts";
import { ringDataBytes, ringSetBytes } from "../shm/ring-set.ts";
import { sweepStaleDirectories } from "../shm/stale-directories.ts";
import { closeDescriptor, type Directory } from "../platform/files.ts";
import { collectSoon } from "../platform/idle.ts";
import { peerCredentials } from "../platform/socket.ts";
import { type CloseReason, Connection, type ConnectionCallbacks } from "./connection/connection.ts";
import type { LatencyCounts } from "./connection/latencies.ts";
import { RequestBuffers } from "./connection/request-buffers.ts";
import {
  addTraffic,
  type ConnectionStats,
  newServiceStats,
  type Refusal,
  type ServiceStats,
  type TrafficTotals,
} from "./connection/stats.ts";
import type { Caller, Credentials, Handler, Permissions } from "./handler.ts";
import { type ServiceOptions, type ServiceSettings, settingsOf, shmSpace } from "./options.ts";
import { RingDisposal } from "./scheduling/ring-disposal.ts";
import { Scheduler } from "./scheduling/scheduler.ts";
import { TimeSlicedQueue } from "./scheduling/time-sliced-queue.ts";
import { Admission, PendingHandshakes } from "./setup/admission.ts";
import { acceptance, refusal } from "./setup/handshake.ts";
import { listen, type Listener, type ListenFailure, openShm } from "./setup/listener.ts";
import { PeerLog } from "./setup/peer-log.ts";
import { type HandshakeEvents, SetupSocket } from "./setup/setup-socket.ts";
import { SocketLoop } from "./setup/socket-loop.ts";
import { describePeer, RefusalTexts } from "./setup/refusal-texts.ts";

/** One connection, as statistics show it. */
export interface ConnectionReport extends ConnectionStats {
  readonly number: number;
  readonly caller: Caller;
  /** When it was made, ms since the epoch. */
  readonly openedAt: number;
  readonly latencies: LatencyCounts;
}

const STOPPED: CloseReason = { kind: "normal", reason: "the server stops" };

/** Between looks at what is still under way at a stop. */
const STOP_STEP_MS = 5;

/** Connects pause for this long before the pool makes the next directory. */
const REFILL_DELAY_MS = 2;

/** What an accepted peer gets: whose its rings are, what it may do, and their size. */
interface Admitted {
  readonly owner: Credentials;
  readonly permissions: Permissions;
  readonly messageBytes: number;
  /** Of /dev/shm, as admission counts them. */
  readonly bytes: number;
}

/** A published service. Made by `Service.start`; owns its name, rings and connections. */
export class Service {
  readonly name: string;
  readonly stats: ServiceStats = newServiceStats();
  readonly #settings: ServiceSettings;
  readonly #handler: Handler;
  readonly #log: PeerLog;
  readonly #texts: RefusalTexts;
  readonly #shm: Directory;
  readonly #pool: RingPool;
  readonly #admission: Admission;
  readonly #expected: PendingHandshakes<SetupSocket>;
  readonly #unwanted: PendingHandshakes<SetupSocket>;
  /** What the handler said of peers whose set-up request is not there yet. */
  readonly #verdicts = new WeakMap<SetupSocket, Permissions | Errno>();
  readonly #connections = new Set<Connection>();
  readonly #queue: TimeSlicedQueue<SetupSocket>;
  /** Peers in the state `queued`, counted by admission. */
  readonly #queued = new Map<SetupSocket, Admitted>();
  readonly #ringBytes = new Map<Connection, number>();
  readonly #disposal: RingDisposal;
  readonly #sockets: SocketLoop;
  readonly #scheduler: Scheduler;
  readonly #callbacks: ConnectionCallbacks;
  readonly #handshakes: HandshakeEvents;
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
    this.#texts = new RefusalTexts(handler, settings);
    this.#pool = new RingPool(shm, name, settings.pooledRings);
    this.#admission = new Admission(settings);
    this.#expected = new PendingHandshakes(settings.pendingHandshakes);
    this.#unwanted = new PendingHandshakes(settings.unwantedHandshakes);
    this.#queue = new TimeSlicedQueue(settings.setUpMsPerTurn, (socket) => this.#setUp(socket));
    this.#disposal = new RingDisposal(settings.setUpMsPerTurn);
    this.#scheduler = new Scheduler(settings, () => sockets.isLoopReady);
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
    this.#handshakes = {
      onSetupRequest: (socket) => this.#onSetupRequest(socket),
      onHandshakeEnd: (socket, why) => this.#onHandshakeEnd(socket, why),
      onNotify: (connection) => this.#scheduler.notified(connection),
    };
  }

  /**
   * Publishes `name` and serves it until `stop`. A failure says what is in the way: the name is
   * taken (EADDRINUSE, with its owner), too long (ENAMETOOLONG), /dev/shm missing or full.
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
    const accept = (fd: number): void => service.#accept(fd);
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
    this.#settings.log.info(`removed ${swept} ring directories that dead servers left`);
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
    for (const waiting of [...this.#expected, ...this.#unwanted, ...this.#queued.keys()]) {
      waiting.drop("the server stops");
    }
    const deadline = Date.now() + this.#settings.stopDeadlineMs;
    while (this.#scheduler.serveAll(this.#connections) && Date.now() < deadline) {
      await Bun.sleep(STOP_STEP_MS);
    }
    for (const connection of this.#connections) connection.end(STOPPED);
    this.#disposal.finish();
    this.#pool[Symbol.dispose]();
    this.#sockets[Symbol.dispose]();
    this.#shm[Symbol.dispose]();
    this.#log.close();
  }

  #accept(fd: number): void {
    const connectIds = peerCredentials(fd);
    if (typeof connectIds === "number") {
      closeDescriptor(fd);
      return;
    }
    const socket = new SetupSocket(fd, connectIds, this.#sockets, this.#handshakes);
    try {
      socket.begin();
    } catch (error) {
      socket.onFailure(error);
    }
    if (socket.state !== "hello") return;
    // Its request is late: until it comes, the peer is bounded by what its ids at connect allow.
    const verdict = this.#judge(connectIds);
    this.#verdicts.set(socket, verdict);
    (typeof verdict === "number" ? this.#unwanted : this.#expected).add(socket);
    socket.setDeadline(this.#settings.handshakeTimeoutMs);
  }

  #judge(peer: Credentials): Permissions | Errno {
    try {
      return this.#handler.authenticate(peer);
    } catch (error) {
      this.#log.failure(`authenticating uid ${peer.uid} failed`, error);
      return Errno.EPERM;
    }
  }

  /** The peer is not waiting for anything any more. */
  #settle(socket: SetupSocket): void {
    this.#expected.delete(socket);
    this.#unwanted.delete(socket);
    this.#queue.remove(socket);
    const admitted = this.#queued.get(socket);
    if (admitted === undefined) return;
    this.#queued.delete(socket);
    this.#admission.remove(socket.peer.uid, admitted.bytes);
  }

  #onHandshakeEnd(socket: SetupSocket, why: string): void {
    this.#settle(socket);
    this.stats.refused.handshake++;
    this.#log.debug(() => `handshake of ${describePeer(socket.peer)} ended: ${why}`);
  }

  /** Refuses what can be refused at no cost; making rings takes its turn. */
  #onSetupRequest(socket: SetupSocket): void {
    this.#settle(socket);
    const { peer, askedBytes } = socket;
    const texts = this.#texts;
    const verdict = this.#verdictOn(socket);
    if (typeof verdict === "number") {
      this.#refuse(socket, verdict, "denied", () => texts.denied(peer));
      return;
    }
    if (askedBytes > this.#settings.maxMessageBytes) {
      this.#refuse(socket, Errno.EMSGSIZE, "size", () => texts.tooLarge(peer, askedBytes));
      return;
    }
    const messageBytes = Math.max(askedBytes, this.#settings.minMessageBytes);
    const bytes = ringSetBytes(ringDataBytes(messageBytes));
    const excess = this.#admission.excessOf(peer.uid, bytes, this.#availableBytes());
    if (excess !== undefined) {
      const isCount = excess === "connections" || excess === "connections of its uid";
      const line = () => texts.full(peer, excess, bytes, this.stats.activeConnections);
      const logged = !isCount || this.#admission.shouldLogFull() ? line : undefined;
      const kind = isCount ? "full" : "resources";
      this.#refuse(socket, isCount ? Errno.EMFILE : Errno.ENOSPC, kind, logged);
      return;
    }
    this.#admission.add(peer.uid, bytes);
    this.#queued.set(socket, { ...this.#grant(socket, verdict), messageBytes, bytes });
    socket.queue();
    this.#queue.add(socket);
  }

  /** What is free of /dev/shm, and what this service can give back. */
  #availableBytes(): number {
    return shmSpace().freeBytes + this.#pool.bytes + this.#disposal.bytes;
  }

  /** What the handler says of who sent the set-up request. */
  #verdictOn(socket: SetupSocket): Permissions | Errno {
    const known = this.#verdicts.get(socket);
    if (known !== undefined && hasSameIds(socket.peer, socket.connectIds)) return known;
    return this.#judge(socket.peer);
  }

  /**
   * A client opens its rings with its effective ids, and is judged by its real ones. Where they
   * differ, every process with those effective ids can open the rings: they may do no more there
   * than they are allowed themselves. Where those are allowed nothing the rings are the real ids',
   * as with libqb, and the client cannot open them.
   */
  #grant(
    { peer, connectIds }: SetupSocket,
    permissions: Permissions,
  ): Pick<Admitted, "owner" | "permissions"> {
    if (hasSameIds(peer, connectIds)) return { owner: peer, permissions };
    const ofOwner = this.#judge(connectIds);
    if (typeof ofOwner === "number") return { owner: peer, permissions };
    const owner = { pid: peer.pid, uid: connectIds.uid, gid: connectIds.gid };
    return { owner, permissions: ofOwner === "read-only" ? "read-only" : permissions };
  }

  /** Its turn has come: rings for an accepted peer. */
  #setUp(socket: SetupSocket): void {
    const admitted = this.#queued.get(socket);
    if (admitted === undefined) return;
    const rings = this.#makeRings(socket, admitted);
    if (typeof rings === "number") {
      const line = () => this.#texts.noRings(socket.peer, rings, admitted.bytes);
      this.#refuse(socket, rings === Errno.EPERM ? Errno.EPERM : rings, "resources", line);
      return;
    }
    this.#queued.delete(socket);
    this.#establish(socket, admitted, rings);
  }

  #makeRings(socket: SetupSocket, { owner, messageBytes }: Admitted): RingDirectory | Errno {
    const dataBytes = ringDataBytes(messageBytes);
    const isReclaimable = this.#pool.readyCount > 0 || this.#disposal.bytes > 0;
    const rings = this.#pool.takeFor(owner, socket.fd, dataBytes);
    if (typeof rings !== "number" || !isReclaimable) return rings;
    // What was ready may be what is in the way: the memory it takes, or what became of it.
    this.#pool.drain();
    this.#disposal.finish();
    return this.#pool.takeFor(owner, socket.fd, dataBytes);
  }

  #establish(socket: SetupSocket, admitted: Admitted, rings: RingDirectory): void {
    const { permissions, messageBytes, bytes } = admitted;
    this.#callbacks.buffers.grow(messageBytes);
    const number = ++this.#lastNumber;
    const caller: Caller = { ...socket.peer, permissions };
    const connection = new Connection(number, caller, rings, messageBytes, socket, this.#callbacks);
    this.#connections.add(connection);
    this.#ringBytes.set(connection, bytes);
    this.stats.activeConnections++;
    socket.admit(connection, acceptance(rings, messageBytes, number));
    this.#disposal.runSoon();
    this.#pool.refillLater(rings.dataBytes, REFILL_DELAY_MS);
    this.#notifyHandler(() => this.#handler.connected?.(connection));
  }

  /** Calls a function of the handler that cannot refuse anything, whatever it throws. */
  #notifyHandler(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#log.failure("the handler failed", error);
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

  #onEnded(connection: Connection, { kind, reason, error }: CloseReason): void {
    if (!this.#connections.delete(connection)) return;
    const { caller, stats, number } = connection;
    this.#scheduler.forget(connection);
    this.#admission.remove(caller.uid, this.#ringBytes.get(connection) ?? 0);
    this.#ringBytes.delete(connection);
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
      const line = `${describePeer(caller)} after ${stats.requests} requests: ${reason}`;
      this.#log.debug(() => `connection ${number} of ${line}`);
    }
    this.#notifyHandler(() => this.#handler.disconnected?.(connection));
  }
}

function hasSameIds(one: Credentials, other: Credentials): boolean {
  return one.uid === other.uid && one.gid === other.gid;
}
