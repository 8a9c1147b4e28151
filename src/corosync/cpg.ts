/**
 * A process group of corosync (service cpg): join, leave, multicast, and a stream of messages and
 * membership changes that all members receive in the same order. One group per connection.
 */
import { encode, spanOf } from "../wire/struct.ts";
import {
  addressAt,
  type Confchg,
  decodeConfchg,
  decodeDeliver,
  decodeFragment,
} from "./cpg-events.ts";
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

/** Pause before a fragment is sent again that corosync answered with TRY_AGAIN. */
const FRAGMENT_PAUSE_MS = 10;
/** Most attempts per fragment (as libcpg's users do with whole messages). */
const FRAGMENT_TRIES = 100;

export interface CpgCallbacks {
  /**
   * Called before each event is decoded. A receiver that also tracks quorum drains that service
   * here: its events come over another socket.
   */
  beforeEvent?(): void;
  /** A message. If it returns a promise, the next event waits until that is settled. */
  deliver(from: CpgMember, message: Buffer): void | Promise<void>;
  /**
   * The members changed. The first confchg with this process in it completes the join. Corosync
   * sends it before the quorum event of the same change; a receiver that needs quorum first awaits
   * `Quorum.quorate`, which is answered when the change is complete, and then drains.
   */
  confchg(change: Confchg): void | Promise<void>;
  /** A malformed event was dropped; one line that says why. */
  dropped?(why: string): void;
  /** The connection has ended: corosync stopped, or broke the protocol. Called once. */
  ended(failure: CsFailure): void;
}

export interface CpgOptions extends ServiceOptions {
  /** The process id that other members see; default: our own. */
  readonly pid?: number;
}

/**
 * One membership of a process group: sends messages; receives messages and member lists in order.
 */
export class CpgGroup implements Disposable {
  /** Name of the group, one character per byte, with the NUL if its length counts one. */
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
   * Connects and asks for our node id; does not join `group` (1 to 128 bytes) yet. Fails as
   * ServiceConnection.connect. A name of another length throws: it is a bug of the caller.
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

  /** True while corosync's flow control forbids sending: an mcast returns TRY_AGAIN. */
  get congested(): boolean {
    return this.#service.holdsMcasts;
  }

  /**
   * Asks to join. OK: a confchg with us in it will follow. EXIST: this pid is a member already.
   * TRY_AGAIN, BUSY: the leave of this pid or of this connection is in progress; repeat.
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
   * Asks to leave: a confchg without us will follow. Corosync then answers every join on this
   * connection with EXIST: close it and connect again. BUSY: the join is not complete.
   */
  async leave(): Promise<CsError> {
    const body = encode(CpgLeaveRequest, { ...this.#name, pid: this.pid });
    return await this.#service.command({
      id: CpgRequestId.LEAVE,
      responseId: CpgResponseId.LEAVE,
      body,
    });
  }

  /** The members of the group; needs no join. MESSAGE_ERROR: the answer is malformed. */
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
      const at = CpgMembershipResponse.size + index * CpgAddress.size;
      const { nodeid, pid } = addressAt(body, at);
      return { nodeid, pid };
    });
  }

  /**
   * Multicasts one message of at most CPG_PIECE_BYTES to all members, ourselves included. OK means
   * that corosync took it, not that it will be delivered: a membership change can lose it.
   * TRY_AGAIN: not sent; TOO_BIG: use mcastFragments.
   */
  mcast(message: Uint8Array): CsError {
    const messageBytes = message.byteLength;
    if (messageBytes > CPG_PIECE_BYTES) return CsError.TOO_BIG;
    const values = { unused: 0n, guarantee: GUARANTEE_AGREED, messageBytes };
    return this.#service.sendMcast(CpgRequestId.MCAST, encode(CpgMcastRequest, values, message));
  }

  /** Calls `sends`; its mcasts wake corosync only once, and may share a totem frame. */
  together(sends: () => void): void {
    this.#service.together(sends);
  }

  /**
   * Multicasts a message of any size: by `mcast` if it fits in one piece, else in fragments, each
   * sent after the answer to the one before. Send nothing else meanwhile if order matters.
   * INTERRUPT: the membership changed and no member gets the message, start over; or `signal` was
   * aborted, which is checked between fragments.
   */
  async mcastFragments(message: Uint8Array, signal?: AbortSignal): Promise<CsError> {
    const messageBytes = message.byteLength;
    // Receivers wait for a last fragment after the first.
    if (messageBytes <= CPG_PIECE_BYTES) return this.mcast(message);
    for (let at = 0; at < messageBytes; at += CPG_PIECE_BYTES) {
      const fragment = message.subarray(at, at + CPG_PIECE_BYTES);
      const isLast = at + fragment.byteLength >= messageBytes;
      const middle = isLast ? FragmentType.LAST : FragmentType.CONTINUED;
      const type = at === 0 ? FragmentType.FIRST : middle;
      const sizes = { messageBytes, fragmentBytes: fragment.byteLength };
      const values = { unused: 0n, guarantee: GUARANTEE_AGREED, ...sizes, type };
      const body = encode(CpgPartialMcastRequest, values, fragment);
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

  /** Sends FINALIZE, which leaves the group if it was joined, and closes the connection. */
  async finalize(): Promise<void> {
    await this.#service.command({ id: CpgRequestId.FINALIZE, responseId: CpgResponseId.FINALIZE });
    this.close();
  }

  /** Closes the connection. A member that did not leave first is reported as PROCESS_DOWN. */
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
    // Every connection gets ring changes; the members follow from the confchg, so ignore them.
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
