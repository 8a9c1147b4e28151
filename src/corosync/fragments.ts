/**
 * Reassembles fragmented messages, per sender (libcpg, partial deliver). A sender is a process of
 * another node: the sizes it states are checked, and any division into fragments is accepted.
 */
import { CPG_MEMBERS_MAX, FragmentType } from "./layouts.ts";

/** A process of the cluster. */
export interface CpgMember {
  readonly nodeid: number;
  readonly pid: number;
}

/** One fragment as received. */
export interface Fragment {
  /** Bytes of the whole message, as the sender states. */
  readonly messageBytes: number;
  /** One of FragmentType. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Most bytes of one message; most bytes and fragments of all unfinished messages. */
export interface FragmentLimits {
  readonly messageBytes: number;
  readonly totalBytes: number;
  readonly totalFragments: number;
}

/** libcpg sends fragments of about 1 MiB; a fragment takes memory also when it has no bytes. */
const LIMITS: FragmentLimits = {
  messageBytes: 64 << 20,
  totalBytes: 256 << 20,
  totalFragments: 65_536,
};

interface Unfinished {
  readonly messageBytes: number;
  readonly parts: Uint8Array[];
  bytes: number;
}

export class FragmentAssembler {
  readonly #limits: FragmentLimits;
  readonly #unfinished = new Map<string, Unfinished>();
  #bytes = 0;
  #fragments = 0;

  constructor(limits: Partial<FragmentLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Bytes of unfinished messages. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  /**
   * Adds one fragment. Returns the whole message after the last one, undefined before, or a string
   * that says why the message was dropped.
   */
  add(from: CpgMember, fragment: Fragment): Buffer | string | undefined {
    const key = keyOf(from);
    if (fragment.type === FragmentType.FIRST) {
      this.drop(from);
      const { messageBytes } = this.#limits;
      if (fragment.messageBytes > messageBytes) {
        return `a message of ${fragment.messageBytes} bytes; the limit is ${messageBytes}`;
      }
      if (this.#unfinished.size >= CPG_MEMBERS_MAX) return "too many unfinished messages";
      this.#unfinished.set(key, { messageBytes: fragment.messageBytes, parts: [], bytes: 0 });
    }
    const message = this.#unfinished.get(key);
    // The first fragment was sent before we joined, or the message was dropped.
    if (message === undefined) return undefined;
    message.parts.push(fragment.bytes);
    message.bytes += fragment.bytes.byteLength;
    this.#bytes += fragment.bytes.byteLength;
    this.#fragments++;
    const why = this.#unfit(message, fragment);
    if (why !== undefined) {
      this.drop(from);
      return why;
    }
    if (fragment.type !== FragmentType.LAST) return undefined;
    this.drop(from);
    return Buffer.concat(message.parts, message.bytes);
  }

  /** Drops a sender's unfinished message: the sender left, or begins another. */
  drop(from: CpgMember): void {
    const key = keyOf(from);
    const message = this.#unfinished.get(key);
    if (message === undefined) return;
    this.#bytes -= message.bytes;
    this.#fragments -= message.parts.length;
    this.#unfinished.delete(key);
  }

  #unfit(message: Unfinished, { type, messageBytes }: Fragment): string | undefined {
    if (messageBytes !== message.messageBytes) {
      return `fragments of one message say ${message.messageBytes} and ${messageBytes} bytes`;
    }
    if (
      message.bytes > messageBytes ||
      (type === FragmentType.LAST && message.bytes !== messageBytes)
    ) {
      return `${message.bytes} bytes of fragments for a message of ${messageBytes}`;
    }
    if (type < FragmentType.FIRST || type > FragmentType.LAST) return `a fragment of type ${type}`;
    if (this.#bytes > this.#limits.totalBytes) return "too many bytes of unfinished messages";
    if (this.#fragments > this.#limits.totalFragments) {
      return "too many fragments of unfinished messages";
    }
    return undefined;
  }
}

function keyOf({ nodeid, pid }: CpgMember): string {
  return `${nodeid}/${pid}`;
}
