/**
 * Shared by the event loop and the thread of a long transaction (transaction-worker.ts): the
 * messages, and memory with the outcome, which can be read without waiting for an event. The thread
 * of a copy (copy-worker.ts) uses that memory too.
 */
import type { RowImage } from "./row-writer.ts";
import type { DatabasePlace } from "./thread-database.ts";

/** A row without its content, whose `length` bytes are in the message's data; undefined: NULL. */
export type PartRow = Omit<RowImage, "data"> & { readonly length: number | undefined };

/** Messages to the thread, in this order: one `begin`, `rows` as many as needed, one `end`. */
export type TransactionPart =
  | (DatabasePlace & {
      readonly kind: "begin";
      readonly sync: "normal" | "full";
      readonly shared: SharedArrayBuffer;
    })
  | {
      readonly kind: "rows";
      readonly deleted: readonly number[];
      readonly rows: readonly PartRow[];
      /** Their content, one after the other. */
      readonly data: Uint8Array;
    }
  | { readonly kind: "end" };

const OUTCOMES = ["pending", "committed", "busy", "failed"] as const;
/** Nothing was written unless it is `committed`. */
export type TransactionOutcome = (typeof OUTCOMES)[number];

/** Fields of the memory: index of the outcome, 1 when given up, bytes of the text. */
const OUTCOME = 0;
const GIVEN_UP = 1;
const TEXT_BYTES = 2;
const HEAD_BYTES = 12;
/** PATH_MAX: the path of a copy. A longer reason for a failure is cut. */
const MAX_TEXT_BYTES = 4096;

/** One side's view of the shared memory. */
export class TransactionState {
  readonly shared: SharedArrayBuffer;
  readonly #fields: Int32Array<SharedArrayBuffer>;
  readonly #text: Uint8Array<SharedArrayBuffer>;

  constructor(shared = new SharedArrayBuffer(HEAD_BYTES + MAX_TEXT_BYTES)) {
    this.shared = shared;
    this.#fields = new Int32Array(shared, 0, HEAD_BYTES / 4);
    this.#text = new Uint8Array(shared, HEAD_BYTES);
  }

  get outcome(): TransactionOutcome {
    return OUTCOMES[Atomics.load(this.#fields, OUTCOME)] ?? "failed";
  }

  /** Why it failed; of a copy, its path. */
  get text(): string {
    return Buffer.from(this.#text.slice(0, this.#fields[TEXT_BYTES])).toString("utf8");
  }

  get isGivenUp(): boolean {
    return Atomics.load(this.#fields, GIVEN_UP) === 1;
  }

  /** Asks the thread to roll back instead of committing, or to remove its copy. */
  giveUp(): void {
    Atomics.store(this.#fields, GIVEN_UP, 1);
  }

  /** Ends the transaction; the first outcome counts. */
  end(outcome: TransactionOutcome, text: string): void {
    if (this.outcome !== "pending") return;
    const bytes = Buffer.from(text).subarray(0, MAX_TEXT_BYTES);
    this.#text.set(bytes);
    this.#fields[TEXT_BYTES] = bytes.length;
    Atomics.store(this.#fields, OUTCOME, OUTCOMES.indexOf(outcome));
    Atomics.notify(this.#fields, OUTCOME);
  }

  /** Blocks until it is over, or for `maxMs`. */
  wait(maxMs: number): void {
    Atomics.wait(this.#fields, OUTCOME, 0, maxMs);
  }
}
