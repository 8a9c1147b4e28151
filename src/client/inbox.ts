/**
 * Waiting for what a server sends: the responses or the events of one connection. A message is
 * announced by its ring's semaphore alone (WIRE.md 5), and the end of the connection by its
 * socket alone, so every wait looks at both.
 */
import type { RingMemory } from "../shm/ring.ts";
import { takeWaiting } from "../platform/futex.ts";
import { QbFailure, timedOut, vanished } from "./failure.ts";
import { MessageReader, type QbMessageIn } from "./message.ts";
import type { Patience } from "./adaptive-wait.ts";
import { spinFor, waitFor } from "./waiting.ts";

/** Blocking waits look at the setup socket this often: a hang-up wakes no semaphore. */
const LIVENESS_SLICE_US = 50_000;
/** ... and this often while it has not taken all notify bytes. */
const OWING_SLICE_US = 1000;
/** Blocking waits spin this long before they sleep: a polling server answers within it. */
const SPIN_US = 30;

/** The connection a message comes on. */
export interface Line {
  /** True when the server truncated the ring files under us. */
  readonly vanished: boolean;
  /** True while the server has not taken all notify bytes. */
  readonly owing: boolean;
  /** Why nothing comes any more, where that is known. */
  over(): QbFailure | undefined;
  /** Sends the notify bytes that are owed. */
  announce(): void;
  /** The end of the connection, when the server has gone. */
  gone(): QbFailure | undefined;
  /** This is its end, and stays it. */
  ends(failure: QbFailure): QbFailure;
}

export class Inbox<M extends QbMessageIn = QbMessageIn> {
  readonly #reader: MessageReader<M>;
  readonly #line: Line;

  constructor(memory: RingMemory, kind: "response" | "event", line: Line) {
    this.#reader = new MessageReader(memory, kind);
    this.#line = line;
  }

  /** A look at the ring alone: a message, what is wrong with it, or nothing. */
  glance(): M | QbFailure | undefined {
    const found = this.#reader.read();
    return found === undefined ? undefined : this.#judge(found);
  }

  /** The next message within `timeoutMs`, other events of the loop served meanwhile. */
  async wait(timeoutMs: number, spins: boolean): Promise<M | QbFailure> {
    const over = this.#line.over();
    if (over !== undefined) return over;
    const deadline = performance.now() + timeoutMs;
    const early = spins ? spinFor(() => this.glance()) : undefined;
    const found = early ?? (await waitFor(() => this.#look(), deadline));
    return found ?? this.#late(timeoutMs);
  }

  /** The next message within `timeoutMs`, asleep in the kernel. */
  waitBlocking(timeoutMs: number): M | QbFailure {
    const over = this.#line.over();
    if (over !== undefined) return over;
    const deadline = performance.now() + timeoutMs;
    let found = this.glance();
    while (found === undefined) {
      const leftUs = (deadline - performance.now()) * 1000;
      if (leftUs <= 0) return this.#late(timeoutMs);
      const longest = this.#line.owing ? OWING_SLICE_US : LIVENESS_SLICE_US;
      found = this.#takeWithin(SPIN_US, Math.ceil(Math.min(leftUs, longest))) ?? this.#look();
    }
    return found;
  }

  /** Stands still for the next message as long as `patience` has it. */
  hold(patience: Patience): M | QbFailure | undefined {
    // A server that does not read its notify bytes has to be given the rest of them.
    const holdUs = this.#line.owing ? 0 : patience.holdUs();
    if (holdUs === 0) return undefined;
    const there = this.glance();
    if (there !== undefined) {
      patience.answered(0, 0);
      return there;
    }
    const spinUs = patience.spinUs();
    const start = performance.now();
    const found = this.#takeWithin(spinUs, holdUs);
    if (found === undefined) patience.unanswered(spinUs);
    else patience.answered((performance.now() - start) * 1000, spinUs);
    return found;
  }

  #takeWithin(spinUs: number, timeoutUs: number): M | QbFailure | undefined {
    const taken = takeWaiting(this.#reader.semaphoreAddress, spinUs, timeoutUs);
    return taken ? this.#judge(this.#reader.readTaken()) : undefined;
  }

  /** One look: a message, the end, or nothing yet. */
  #look(): M | QbFailure | undefined {
    const over = this.#line.over();
    if (over !== undefined) return over;
    if (this.#line.owing) this.#line.announce();
    const found = this.glance();
    if (found !== undefined) return found;
    const end = this.#line.gone();
    // What it sent before it went still counts.
    return end && (this.glance() ?? this.#line.ends(end));
  }

  #judge(found: M | QbFailure): M | QbFailure {
    if (this.#line.vanished) return this.#line.ends(vanished());
    return found instanceof QbFailure ? this.#line.ends(found) : found;
  }

  #late(timeoutMs: number): QbFailure {
    return timedOut(`no ${this.#reader.kind}`, timeoutMs);
  }
}
