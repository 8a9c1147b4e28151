/** The quorum service of corosync: whether this partition is quorate, now and at each change. */
import { encode, spanOf } from "../wire/struct.ts";
import { CsError, type CsFailure } from "./cs-error.ts";
import {
  QuorumEventId,
  QuorumNotification,
  QuorumRequestId,
  QuorumResponseId,
  QuorumTrackRequest,
  QuorumWordResponse,
  ServiceName,
  TRACK_CHANGES,
} from "./layouts.ts";
import { ServiceConnection, type ServiceOptions } from "./service.ts";

/** Most node ids in a notification; knet allows 511 nodes. */
const NODES_MAX = 1024;

/** The state that the quorum service reported last. */
export interface QuorumState {
  readonly quorate: boolean;
  readonly ringSeq: bigint;
  /** Node ids of this partition, ascending as corosync sends them. */
  readonly nodes: readonly number[];
}

export interface QuorumCallbacks {
  changed(state: QuorumState): void;
  /** The connection has ended: corosync stopped, or broke the protocol. Called once. */
  ended(failure: CsFailure): void;
}

/** A connection to the quorum service. */
export class Quorum implements Disposable {
  readonly #service: ServiceConnection;

  private constructor(service: ServiceConnection, callbacks: QuorumCallbacks) {
    this.#service = service;
    service.watchOne(QuorumEventId.NOTIFICATION, decodeNotification, callbacks);
  }

  /** Connects; fails as ServiceConnection.connect. */
  static async connect(
    callbacks: QuorumCallbacks,
    options: ServiceOptions = {},
  ): Promise<Quorum | CsFailure> {
    const service = await ServiceConnection.connect(ServiceName.quorum, options);
    return service instanceof ServiceConnection ? new Quorum(service, callbacks) : service;
  }

  /** Whether corosync has a quorum provider at all; without one it is never quorate. */
  async hasProvider(): Promise<boolean | CsError> {
    return await this.#word(QuorumRequestId.GETTYPE, QuorumResponseId.GETTYPE);
  }

  /** Whether this partition is quorate now. */
  async quorate(): Promise<boolean | CsError> {
    return await this.#word(QuorumRequestId.GETQUORATE, QuorumResponseId.GETQUORATE);
  }

  /** Has `changed` called with the state at once, and at each change. */
  async track(): Promise<CsError> {
    return await this.#service.command({
      id: QuorumRequestId.TRACKSTART,
      responseId: QuorumResponseId.TRACKSTART,
      body: encode(QuorumTrackRequest, { flags: TRACK_CHANGES }),
    });
  }

  /** Delivers the changes that have arrived. */
  drain(): void {
    this.#service.drain();
  }

  get closed(): boolean {
    return this.#service.closed;
  }

  close(): void {
    this.#service.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #word(id: number, responseId: number): Promise<boolean | CsError> {
    const leastBytes = QuorumWordResponse.size;
    const body = await this.#service.call({ id, responseId, leastBytes });
    return typeof body === "number" ? body : QuorumWordResponse.read.value(spanOf(body)) !== 0;
  }
}

/** A notification, or what is wrong with it. */
export function decodeNotification(body: Buffer): QuorumState | string {
  const { size, read } = QuorumNotification;
  if (body.byteLength < size) return `a quorum notification of ${body.byteLength} bytes`;
  const span = spanOf(body);
  const count = read.count(span);
  if (count > NODES_MAX || size + 4 * count > body.byteLength) {
    return `a quorum notification of ${count} nodes in ${body.byteLength} bytes`;
  }
  const nodes = Array.from({ length: count }, (_, index) => body.readUInt32LE(size + 4 * index));
  return { quorate: read.quorate(span) !== 0, ringSeq: read.ringSeq(span), nodes };
}
