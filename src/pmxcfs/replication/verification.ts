/**
 * The verification: the lowest member requests it, every member computes the checksum of its tree
 * at that point of the total order, the requester sends its own, and a member with a different one
 * leaves and takes the leader's data at the synchronisation that follows. The checksum is computed
 * in steps; a VERIFY that arrives earlier is kept until then. C counterpart: dfsm.c, verify_*.
 */
import type { ChecksumJob } from "./application.ts";
import { decodeVerify, CHECKSUM_BYTES, encodeVerifyBody } from "./message.ts";

/** Milliseconds between two rounds, and from the start to the first one. */
const PERIOD_MS = 3_600_000;

/** What the machine does next. */
export type VerifyStep =
  | { readonly kind: "nothing" }
  /** Multicast VERIFY with this body: the round was ours. */
  | { readonly kind: "publish"; readonly body: Buffer }
  | { readonly kind: "equal"; readonly id: bigint }
  | { readonly kind: "different"; readonly text: string }
  /** Of a round that this node has not computed: skip it. */
  | { readonly kind: "unknown"; readonly text: string }
  | { readonly kind: "malformed"; readonly text: string };

const NOTHING: VerifyStep = { kind: "nothing" };

export class Verification {
  /** Number of the last request of this process. */
  #requested = 0n;
  /** The round that was computed, or is being computed, last. */
  #id = 0n;
  #own = false;
  /** False after a confchg: the checksum is not of the new epoch. */
  #valid = false;
  #checksum: Uint8Array | undefined;
  #job: ChecksumJob | undefined;
  /** A VERIFY that arrived before our checksum was ready. */
  #early: Buffer | undefined;
  #nextAt: number;
  readonly #isVerified: boolean;

  /**
   * `isVerified`: false for a group without checksums, which ignores a round, as in C: all that it
   * checks is the length of a request.
   */
  constructor(startedAt: number, isVerified: boolean) {
    this.#nextAt = startedAt + PERIOD_MS;
    this.#isVerified = isVerified;
  }

  /** A confchg: what was computed is void, and a round that was requested will not come back. */
  drop(): void {
    this.#id = this.#requested;
    this.#valid = false;
    this.#checksum = undefined;
    this.#job = undefined;
    this.#early = undefined;
  }

  get busy(): boolean {
    return this.#job !== undefined;
  }

  /** True once a period. */
  due(now: number): boolean {
    if (now < this.#nextAt) return false;
    this.#nextAt = now + PERIOD_MS;
    return true;
  }

  /** Body of a VERIFY_REQUEST; undefined while the last round has not come back. */
  request(): Buffer | undefined {
    if (this.#requested !== this.#id) return undefined;
    this.#requested++;
    return encodeVerifyBody(this.#requested);
  }

  /**
   * A VERIFY_REQUEST of the current epoch; `own`: this process sent it; `job`: undefined in a group
   * without checksums.
   */
  requested(body: Buffer, own: boolean, job: ChecksumJob | undefined): VerifyStep {
    const request = decodeVerify(body, 0);
    if (request === undefined) {
      const text = `cpg received verify request with wrong length (${body.length} bytes)`;
      return { kind: "malformed", text };
    }
    if (job === undefined) return NOTHING;
    this.#id = request.id;
    this.#own = own;
    this.#valid = true;
    this.#checksum = undefined;
    this.#early = undefined;
    this.#job = job;
    return NOTHING;
  }

  /** One step of the checksum. */
  work(): VerifyStep {
    const checksum = this.#job?.step();
    if (checksum === undefined) return NOTHING;
    this.#job = undefined;
    this.#checksum = checksum;
    if (this.#own) return { kind: "publish", body: encodeVerifyBody(this.#id, checksum) };
    const early = this.#early;
    this.#early = undefined;
    return early === undefined ? NOTHING : this.received(early);
  }

  /** A VERIFY of the current epoch. */
  received(body: Buffer): VerifyStep {
    if (!this.#isVerified) return NOTHING;
    const verify = decodeVerify(body, CHECKSUM_BYTES);
    if (verify === undefined) {
      const text = `cpg received verify message with wrong length (${body.length} bytes)`;
      return { kind: "malformed", text };
    }
    if (!this.#valid || verify.id !== this.#id) {
      return { kind: "unknown", text: "skip verification - no checksum saved" };
    }
    if (this.#checksum === undefined) {
      this.#early = Buffer.from(body);
      return NOTHING;
    }
    if (verify.checksum.equals(this.#checksum)) return { kind: "equal", id: verify.id };
    const [theirs, ours] = [verify.checksum, Buffer.from(this.#checksum)].map(checksumText);
    return { kind: "different", text: `wrong checksum ${theirs} != ${ours} - restarting` };
  }
}

/** The first 8 bytes, as C prints them: one number, little-endian. */
function checksumText(checksum: Buffer): string {
  return checksum.readBigUInt64LE(0).toString(16).toUpperCase().padStart(16, "0");
}
