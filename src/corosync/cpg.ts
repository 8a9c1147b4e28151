/**
 * A process group of corosync (service cpg): join, leave, multicast, and the totally ordered stream
 * of messages and membership changes that every member sees alike. One connection, one group.
 */
import { encode, spanOf } from "../wire/struct.ts";
import { type Confchg, decodeConfchg, decodeDeliver, decodeFragment } from "./cpg-events.ts";
import { CsError, CsFailure } from "./cs-error.ts";
import { type CpgMember, FragmentAssembler } from "./fragments.ts";
import {
  CPG_MEMBERS_MAX,
  CPG_PIECE_BYTES,
  CpgAddress,
  CpgEventId,
  CpgJoinRequest,
  CpgLeaveRequest,
  CpgLocalGetResponse,
  CpgMcastRequest,
  CpgMembershipRequest,
  CpgMembershipResponse,
  CpgPartialMcastRequest,
  CpgRequestId,
  CpgResponseId,
  FragmentType,
  GROUP_NAME_BYTES,
  GUARANTEE_AGREED,
  ServiceName,
} from "./layouts.ts";
import { ServiceConnection, type ServiceOptions } from "./service.ts";

/** A fragment that corosync does not take is offered again after this, ... */
const FRAGMENT_PAUSE_MS = 10;
/** ... this many times (as libcpg's users do with whole messages). */
const FRAGMENT_TRIES = 100;

export interface CpgCallbacks {
  /**
   * Called before each event is decoded. A receiver that follows quorum too drains that service
   * here: the two are separate sockets.
   */
  beforeEvent?(): void;
  /** A message. With a promise the next event waits until it is settled. */
  deliver(from: CpgMember, message: Buffer): void | Promise<void>;
  /**
   * The members changed. The first one with ourselves in it completes the join. Corosync sends it
   * before the quorum event of the same change; a receiver that needs quorum first waits for
   * `Quorum.quorate`, which is answered when the change is complete, and then drains.
   */
  confchg(change: Confchg): void | Promise<void>;
  /** Something from another node was dropped; one line. */
  dropped?(why: string): void;
  /** The connection has ended: corosync stopped, or broke the protocol. Called once. */
  ended(failure: CsFailure): void;
}

export interface CpgOptions extends ServiceOptions {
  /** The process id other members see; our own unless given. */
  readonly pid?: number;
}

/**
 * One membership of a process group: messages out, messages and member lists in, in total order.
 */
export class CpgGroup implements Disposable {
  /** Name of the group, one character per byte; a counted NUL is part of it. */
  readonly group: string;
  /** This node's id, unsigned. */
  readonly nodeid: number;
  readonly pid: number;
  readonly #callbacks: CpgCallbacks;
  readonly #assembler = new FragmentAssembler();
  readonly #name: { readonly groupLength: number; readonly groupName: Buffer };
  readonly #service: ServiceConnection;

  private constructor(
    group: string,
    nodeid: number,
    pid: number,
    service: ServiceConnection,
    callbacks: CpgCallbacks,
  ) {
    this.group = group;
    this.nodeid = nodeid;
    this.pid = pid;
    this.#service = service;
    this.#callbacks = callbacks;
    const groupName = Buffer.from(group, "latin1");
    this.#name = { groupLength: groupName.byteLength, groupName };
    service.watch({
      event: (id, body) => this.#event(id, body),
      ended: (failure) => callbacks.ended(failure),
    });
  }

  /**
   * Connects for `group` (1 to 128 bytes) and learns our node id; joins nothing yet. Why not, as
   * ServiceConnection.connect. A name of another length throws: a bug of the caller.
   */
  static async connect(
    group: string,
    callbacks: CpgCallbacks,
    options: CpgOptions = {},
  ): Promise<CpgGroup | CsFailure> {
    if (group.length === 0 || group.length > GROUP_NAME_BYTES) {
      throw new RangeError(`a group name has 1 to ${GROUP_NAME_BYTES} bytes`);
    }
    const service = await ServiceConnection.connect(ServiceName.cpg, options);
    if (!(service instanceof ServiceConnection)) return service;
    const local = await service.call({
      id: CpgRequestId.LOCAL_GET,
      responseId: CpgResponseId.LOCAL_GET,
      leastBytes: CpgLocalGetResponse.size,
    });
    if (typeof local === "number") {
      service.close();
      return new CsFailure(local, "cpg does not say which node this is");
    }
    const nodeid = CpgLocalGetResponse.read.nodeid(spanOf(local));
    const pid = options.pid ?? process.pid;
    return new CpgGroup(group, nodeid, pid, service, callbacks);
  }

  get closed(): boolean {
    return this.#service.closed;
  }

  /** True while corosync asks to send nothing: an mcast would be TRY_AGAIN. */
  get congested(): boolean {
    return this.#service.holdsMcasts;
  }

  /**
   * Asks to join. OK: a confchg with us in it will come. EXIST: this pid is in already; TRY_AGAIN:
   * its leave is under way; BUSY: this connection's leave is: repeat.
   */
  async join(): Promise<CsError> {
    const body = encode(CpgJoinRequest, { ...this.#name, pid: this.pid, flags: 0 });
    return await this.#service.command({
      id: CpgRequestId.JOIN,
      responseId: CpgResponseId.JOIN,
      body,
    });
  }

  /**
   * Asks to leave: a confchg without us will come. Afterwards corosync answers a join on this
   * connection with EXIST for good: close it and connect anew. BUSY: the join is not complete.
   */
  async leave(): Promise<CsError> {
    const body = encode(CpgLeaveRequest, { ...this.#name, pid: this.pid });
    return await this.#service.command({
      id: CpgRequestId.LEAVE,
      responseId: CpgResponseId.LEAVE,
      body,
    });
  }

  /** The members as corosync knows them, also of a group that was not joined. */
  async members(): Promise<CpgMember[] | CsError> {
    const body = await this.#service.call({
      id: CpgRequestId.MEMBERSHIP_GET,
      responseId: CpgResponseId.MEMBERSHIP_GET,
      body: encode(CpgMembershipRequest, this.#name),
      leastBytes: CpgMembershipResponse.size,
    });
    if (typeof body === "number") return body;
    const count = CpgMembershipResponse.read.count(spanOf(body));
    const room = Math.floor((body.byteLength - CpgMembershipResponse.size) / CpgAddress.size);
    if (count > CPG_MEMBERS_MAX || count > room) return CsError.MESSAGE_ERROR;
    return Array.from({ length: count }, (_, index) => {
      const from = CpgMembershipResponse.size + index * CpgAddress.size;
      const address = spanOf(body.subarray(from, from + CpgAddress.size));
      return { nodeid: CpgAddress.read.nodeid(address), pid: CpgAddress.read.pid(address) };
    });
  }

  /**
   * Multicasts one message of at most CPG_PIECE_BYTES to all members, ourselves included. OK says
   * that corosync took it, not that it will be delivered: a change of membership can lose it.
   * TRY_AGAIN: not sent; TOO_BIG: use mcastFragments.
   */
  mcast(message: Uint8Array): CsError {
    const messageBytes = message.byteLength;
    if (messageBytes > CPG_PIECE_BYTES) return CsError.TOO_BIG;
    const values = { unused: 0n, guarantee: GUARANTEE_AGREED, messageBytes };
    return this.#service.sendMcast(CpgRequestId.MCAST, encode(CpgMcastRequest, values, message));
  }

  /** Calls `sends`, whose mcasts wake corosync once for all of them, and may share a frame. */
  together(sends: () => void): void {
    this.#service.together(sends);
  }

  /**
   * Multicasts a message of any size in fragments, one answered after the other. Send nothing else
   * meanwhile if order matters. INTERRUPT: the group changed on the way, no member gets it, start
   * over; `signal` ends it between two fragments, with INTERRUPT too.
   */
  async mcastFragments(message: Uint8Array, signal?: AbortSignal): Promise<CsError> {
    const messageBytes = message.byteLength;
    for (let at = 0; at < messageBytes || at === 0; at += CPG_PIECE_BYTES) {
      const fragment = message.subarray(at, at + CPG_PIECE_BYTES);
      const isLast = at + fragment.byteLength >= messageBytes;
      const middle = isLast ? FragmentType.LAST : FragmentType.CONTINUED;
      const type = at === 0 ? FragmentType.FIRST : middle;
      const body = encode(
        CpgPartialMcastRequest,
        {
          unused: 0n,
          guarantee: GUARANTEE_AGREED,
          messageBytes,
          fragmentBytes: fragment.byteLength,
          type,
        },
        fragment,
      );
      const error = await this.#sendFragment(body, signal);
      if (error !== CsError.OK) return error;
    }
    return CsError.OK;
  }

  async #sendFragment(body: Uint8Array, signal: AbortSignal | undefined): Promise<CsError> {
    for (let attempt = 1; ; attempt++) {
      if (signal?.aborted === true) return CsError.INTERRUPT;
      const error = await this.#service.command({
        id: CpgRequestId.PARTIAL_MCAST,
        responseId: CpgResponseId.PARTIAL_MCAST,
        body,
        isMcast: true,
      });
      if (error !== CsError.TRY_AGAIN || attempt === FRAGMENT_TRIES) return error;
      await Bun.sleep(FRAGMENT_PAUSE_MS);
    }
  }

  /** Tells corosync that this connection ends, and closes it. Leaves the group, if still in it. */
  async finalize(): Promise<void> {
    await this.#service.command({ id: CpgRequestId.FINALIZE, responseId: CpgResponseId.FINALIZE });
    this.close();
  }

  /** Closes the connection; corosync takes a member that did not leave for a process that died. */
  close(): void {
    this.#service.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #event(id: number, body: Buffer): void | Promise<void> {
    this.#callbacks.beforeEvent?.();
    if (id === CpgEventId.DELIVER) return this.#deliver(body);
    if (id === CpgEventId.CONFCHG) return this.#confchg(body);
    if (id === CpgEventId.PARTIAL_DELIVER) return this.#fragment(body);
    // Changes of the ring go to every connection; members follow from the confchg.
    if (id !== CpgEventId.TOTEM_CONFCHG) this.#callbacks.dropped?.(`an event with id ${id}`);
    return undefined;
  }

  #deliver(body: Buffer): void | Promise<void> {
    const found = decodeDeliver(body, this.group);
    if (typeof found === "string") this.#callbacks.dropped?.(found);
    else if (found !== undefined) return this.#callbacks.deliver(found.from, found.message);
    return undefined;
  }

  #fragment(body: Buffer): void | Promise<void> {
    const found = decodeFragment(body, this.group);
    const { from, fragment } = typeof found === "object" ? found : {};
    if (from === undefined || fragment === undefined) {
      if (typeof found === "string") this.#callbacks.dropped?.(found);
      return undefined;
    }
    const message = this.#assembler.add(from, fragment);
    if (typeof message === "string") {
      this.#callbacks.dropped?.(`${message}, from ${from.nodeid}/${from.pid}`);
      return undefined;
    }
    return message === undefined ? undefined : this.#callbacks.deliver(from, message);
  }

  #confchg(body: Buffer): void | Promise<void> {
    const change = decodeConfchg(body, this.group);
    if (change === undefined) return undefined;
    if (typeof change === "string") {
      this.#service.broken(`corosync sent ${change}`);
      return undefined;
    }
    for (const member of change.left) this.#assembler.drop(member);
    return this.#callbacks.confchg(change);
  }
}
