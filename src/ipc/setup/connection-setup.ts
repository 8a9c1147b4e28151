/**
 * Turns an accepted socket into a connection (libqb ipc_setup.c): asks the handler and admission
 * control, then makes the rings.
 */
import { Errno } from "../../base/errno.ts";
import type { Directory } from "../../platform/files.ts";
import { closeSocket, type Credentials, peerCredentials } from "../../platform/socket.ts";
import type { RingDirectory } from "../../shm/ring-directory.ts";
import { ringDataBytes, ringSetBytes } from "../../shm/ring-set.ts";
import type { Connection } from "../connection/connection.ts";
import type { Refusal, ServiceStats } from "../connection/stats.ts";
import type { Caller, Handler, Permissions } from "../handler.ts";
import { type ServiceSettings, shmSpace } from "../options.ts";
import type { RingDisposal } from "../scheduling/ring-disposal.ts";
import { TimeSlicedQueue } from "../scheduling/time-sliced-queue.ts";
import { Admission, type Excess, PendingHandshakes } from "./admission.ts";
import { type Grant, grantOf } from "./grant.ts";
import { refusal } from "./handshake.ts";
import type { PeerLog } from "./peer-log.ts";
import { describePeer, RefusalTexts } from "./refusal-texts.ts";
import { RingSupply } from "./ring-supply.ts";
import { type HandshakeEvents, SetupSocket } from "./setup-socket.ts";
import type { SocketLoop } from "./socket-loop.ts";

/** What an accepted peer is granted, and the size of its rings. */
interface Admitted extends Grant {
  readonly messageBytes: number;
  /** Bytes of /dev/shm, as admission counts them. */
  readonly bytes: number;
}

/** The parts of a connection for an accepted peer. */
export interface Established {
  readonly caller: Caller;
  readonly rings: RingDirectory;
  readonly messageBytes: number;
}

/** The parts of a service that its set-up uses. */
export interface SetupParts {
  readonly log: PeerLog;
  readonly stats: ServiceStats;
  readonly shm: Directory;
  readonly sockets: SocketLoop;
  readonly disposal: RingDisposal;
  /** Makes the connection of an accepted peer, and sends the answer. */
  onEstablished(socket: SetupSocket, established: Established): Connection;
  /** Notify bytes came on a connection. */
  onNotify(connection: Connection): void;
}

/** Sets up all connections of one service. */
export class ConnectionSetup {
  readonly #settings: ServiceSettings;
  readonly #handler: Handler;
  readonly #parts: SetupParts;
  readonly #texts: RefusalTexts;
  readonly #supply: RingSupply<SetupSocket>;
  readonly #admission: Admission;
  readonly #expected: PendingHandshakes<SetupSocket>;
  readonly #unwanted: PendingHandshakes<SetupSocket>;
  /** The handler's verdicts on peers whose set-up request is not complete. */
  readonly #verdicts = new WeakMap<SetupSocket, Permissions | Errno>();
  readonly #queue: TimeSlicedQueue<SetupSocket>;
  /** Peers in the state `queued`, counted by admission. */
  readonly #queued = new Map<SetupSocket, Admitted>();
  /** Bytes of /dev/shm that they will take. */
  #queuedBytes = 0;
  readonly #ringBytes = new Map<Connection, number>();
  readonly #events: HandshakeEvents;

  constructor(name: string, handler: Handler, settings: ServiceSettings, parts: SetupParts) {
    this.#settings = settings;
    this.#handler = handler;
    this.#parts = parts;
    this.#texts = new RefusalTexts(handler, settings);
    const again = (socket: SetupSocket): void => this.#queue.add(socket);
    this.#supply = new RingSupply(parts.shm, name, settings, parts.disposal, again);
    this.#admission = new Admission(settings);
    this.#expected = new PendingHandshakes(settings.pendingHandshakes);
    this.#unwanted = new PendingHandshakes(settings.unwantedHandshakes);
    this.#queue = new TimeSlicedQueue(settings.setUpMsPerTurn, (socket) =>
      this.#tryToSetUp(socket),
    );
    this.#events = {
      onSetupRequest: (socket) => this.#onSetupRequest(socket),
      onHandshakeEnd: (socket, why) => this.#onHandshakeEnd(socket, why),
      onNotify: (connection) => parts.onNotify(connection),
    };
  }

  /** Number of peers whose set-up request is not complete. */
  get pendingCount(): number {
    return this.#expected.size + this.#unwanted.size;
  }

  /** Ring directories that are ready for the next clients. */
  get pooledRings(): number {
    return this.#supply.readyCount;
  }

  /** A connection has ended: admission does not count it any more. */
  forget(connection: Connection): void {
    const bytes = this.#ringBytes.get(connection);
    if (bytes === undefined) return;
    this.#ringBytes.delete(connection);
    this.#admission.remove(connection.caller.uid, bytes);
  }

  /** Drops all peers without a connection, and the pooled rings. */
  stop(): void {
    for (const waiting of [...this.#expected, ...this.#unwanted, ...this.#queued.keys()]) {
      waiting.drop("the server stops");
    }
    this.#supply[Symbol.dispose]();
  }

  /** Takes over the descriptor of a new connection. Never throws. */
  accept(fd: number): void {
    const connectIds = peerCredentials(fd);
    if (typeof connectIds === "number") {
      closeSocket(fd);
      return;
    }
    const socket = new SetupSocket(fd, connectIds, this.#parts.sockets, this.#events);
    try {
      socket.begin();
    } catch (error) {
      socket.onFailure(error);
    }
    if (socket.state !== "hello") return;
    // The set-up request is late: until it comes, the ids at connect(2) decide which bound applies.
    const verdict = this.#judge(connectIds);
    this.#verdicts.set(socket, verdict);
    (typeof verdict === "number" ? this.#unwanted : this.#expected).add(socket);
    socket.setDeadline(this.#settings.handshakeTimeoutMs);
  }

  #judge(peer: Credentials): Permissions | Errno {
    try {
      return this.#handler.authenticate(peer);
    } catch (error) {
      this.#parts.log.failure(`authenticating uid ${peer.uid} failed`, error);
      return Errno.EPERM;
    }
  }

  /** Removes the peer from all queues and counts. */
  #settle(socket: SetupSocket): void {
    this.#expected.delete(socket);
    this.#unwanted.delete(socket);
    this.#queue.remove(socket);
    this.#supply.forget(socket);
    const admitted = this.#queued.get(socket);
    if (admitted === undefined) return;
    this.#leaveQueue(socket, admitted);
    this.#admission.remove(socket.peer.uid, admitted.bytes);
  }

  #leaveQueue(socket: SetupSocket, { bytes }: Admitted): void {
    this.#queued.delete(socket);
    this.#queuedBytes -= bytes;
  }

  #onHandshakeEnd(socket: SetupSocket, why: string): void {
    this.#settle(socket);
    this.#parts.stats.refused.handshake++;
    this.#parts.log.debug(() => `handshake of ${describePeer(socket.peer)} ended: ${why}`);
  }

  /** Refuses at once, or queues the making of rings, which takes time. */
  #onSetupRequest(socket: SetupSocket): void {
    this.#settle(socket);
    const { peer, askedBytes } = socket;
    const texts = this.#texts;
    const { verdict, judged } = this.#verdictOn(socket);
    if (typeof verdict === "number") {
      this.#refuse(socket, verdict, "denied", () => texts.denied(judged));
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
      this.#refuseExcess(socket, excess, bytes);
      return;
    }
    this.#admission.add(peer.uid, bytes);
    const granted = grantOf(socket, verdict, (ids) => this.#judge(ids));
    this.#queued.set(socket, { ...granted, messageBytes, bytes });
    this.#queuedBytes += bytes;
    socket.queue();
    this.#queue.add(socket);
  }

  /** EMFILE for a bound on connections, ENOSPC for one on bytes. */
  #refuseExcess(socket: SetupSocket, excess: Excess, bytes: number): void {
    const { activeConnections } = this.#parts.stats;
    const line = () => this.#texts.full(socket.peer, excess, bytes, activeConnections);
    if (excess === "bytes of its uid" || excess === "free bytes") {
      this.#refuse(socket, Errno.ENOSPC, "resources", line);
      return;
    }
    const logged = this.#admission.shouldLogFull() ? line : undefined;
    this.#refuse(socket, Errno.EMFILE, "full", logged);
  }

  /**
   * Free bytes of /dev/shm, and those that this service can free, without those that queued peers
   * will take: many that connect at once must not get what is reserved for root.
   */
  #availableBytes(): number {
    return shmSpace().freeBytes + this.#supply.freeableBytes - this.#queuedBytes;
  }

  /** The handler's verdict on the sender of the set-up request, and the ids it was asked about. */
  #verdictOn(socket: SetupSocket): {
    readonly verdict: Permissions | Errno;
    readonly judged: Credentials;
  } {
    const { peer, connectIds } = socket;
    const known = this.#verdicts.get(socket);
    if (known !== undefined && hasSameIds(peer, connectIds)) {
      return { verdict: known, judged: connectIds };
    }
    return { verdict: this.#judge(peer), judged: peer };
  }

  /**
   * An exception (of a log of the library's user) ends the handshake of this peer only: the caller
   * is the handshake of another one, or the watch over the memory that several wait for.
   */
  #tryToSetUp(socket: SetupSocket): void {
    try {
      this.#setUp(socket);
    } catch (error) {
      socket.onFailure(error);
      this.#parts.log.failure(`setting up ${describePeer(socket.peer)} failed`, error);
    }
  }

  /** Makes the rings of a peer whose turn in the queue has come. */
  #setUp(socket: SetupSocket): void {
    const admitted = this.#queued.get(socket);
    if (admitted === undefined) return;
    const { owner, messageBytes, bytes } = admitted;
    const dataBytes = ringDataBytes(messageBytes);
    const wanted = { owner, socketFd: socket.fd, dataBytes, bytes };
    const rings = this.#supply.take(socket, wanted, this.#ringBytes.size);
    if (rings === "later") return;
    if (typeof rings === "number") {
      const line = () => this.#texts.noRings(socket.peer, rings, bytes);
      this.#refuse(socket, rings, "resources", line);
      return;
    }
    this.#leaveQueue(socket, admitted);
    const caller: Caller = { ...socket.peer, permissions: admitted.permissions };
    const connection = this.#parts.onEstablished(socket, { caller, rings, messageBytes });
    // The handler's `connected` may have ended it.
    if (connection.ended) this.#admission.remove(caller.uid, bytes);
    else this.#ringBytes.set(connection, bytes);
    this.#supply.taken(dataBytes);
  }

  #refuse(
    socket: SetupSocket,
    error: Errno,
    refusalKind: Refusal,
    line: (() => string) | undefined,
  ): void {
    this.#settle(socket);
    this.#parts.stats.refused[refusalKind]++;
    if (line !== undefined) this.#parts.log.warn(line);
    socket.refuse(refusal(error));
  }
}

function hasSameIds(one: Credentials, other: Credentials): boolean {
  return one.uid === other.uid && one.gid === other.gid;
}
