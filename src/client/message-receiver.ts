/**
 * Waits for the responses or the events of one connection. Only the ring's semaphore announces a
 * message, and only the socket announces the end of the connection, so every wait checks both.
 */
import type { RingMemory } from "../shm/ring.ts";
import { takeWaiting } from "../platform/futex.ts";
import { QbFailure, timedOut, vanished } from "./failure.ts";
import { MessageReader, type QbMessageIn } from "./message.ts";
import type { AdaptiveWait } from "./adaptive-wait.ts";
import { spinFor, waitFor } from "./waiting.ts";

/** Blocking waits check the setup socket this often: a hang-up does not post the semaphore. */
const LIVENESS_SLICE_US = 50_000;
/** Interval of these checks while notify bytes are owed. */
const OWING_SLICE_US = 1000;
/** Blocking waits spin for this long before they sleep: a polling server answers within it. */
const SPIN_US = 30;

/** The state of the connection that messages come on. */
export interface ConnectionState {
  /** True when the server truncated the ring files under us. */
  readonly vanished: boolean;
  /** True while the server has not taken all notify bytes. */
  readonly owing: boolean;
  /** Why no message will come any more, if that is known. */
  endReason(): QbFailure | undefined;
  /** Sends the notify bytes that are owed. */
  sendOwed(): void;
  /** Checks the socket and the files: why the connection has ended, if it has. */
  checkEnd(): QbFailure | undefined;
  /** Records why the connection ended, unless a reason is recorded already; returns the reason. */
  recordEnd(failure: QbFailure): QbFailure;
}

export class MessageReceiver<M extends QbMessageIn = QbMessageIn> {
  readonly #reader: MessageReader<M>;
  readonly #state: ConnectionState;

  constructor(memory: RingMemory, kind: "response" | "event", state: ConnectionState) {
    this.#reader = new MessageReader(memory, kind);
    this.#state = state;
  }

  /** Checks only the ring: a message, what is wrong with it, or undefined. */
  poll(): M | QbFailure | undefined {
    const found = this.#reader.read();
    return found === undefined ? undefined : this.#judge(found);
  }

  /** The next message within `timeoutMs`; the event loop serves other events meanwhile. */
  async wait(timeoutMs: number, spins: boolean): Promise<M | QbFailure> {
    const ended = this.#state.endReason();
    if (ended !== undefined) return ended;
    const deadline = performance.now() + timeoutMs;
    const early = spins ? spinFor(() => this.poll()) : undefined;
    const found = early ?? (await waitFor(() => this.#look(), deadline));
    return found ?? this.#late(timeoutMs);
  }

  /** The next message within `timeoutMs`; sleeps in the kernel and blocks the event loop. */
  waitBlocking(timeoutMs: number): M | QbFailure {
    const ended = this.#state.endReason();
    if (ended !== undefined) return ended;
    const deadline = performance.now() + timeoutMs;
    let found = this.poll();
    while (found === undefined) {
      const leftUs = (deadline - performance.now()) * 1000;
      if (leftUs <= 0) return this.#late(timeoutMs);
      const longest = this.#state.owing ? OWING_SLICE_US : LIVENESS_SLICE_US;
      found = this.#takeWithin(SPIN_US, Math.ceil(Math.min(leftUs, longest))) ?? this.#look();
    }
    return found;
  }

  /** Blocks for the next message, for the time that `wait` allows. */
  hold(wait: AdaptiveWait): M | QbFailure | undefined {
    // Does not block while notify bytes are owed: the timer that sends them must run.
    const holdUs = this.#state.owing ? 0 : wait.holdUs();
    if (holdUs === 0) return undefined;
    const there = this.poll();
    if (there !== undefined) {
      wait.answered(0, 0);
      return there;
    }
    const spinUs = wait.spinUs();
    const start = performance.now();
    const found = this.#takeWithin(spinUs, holdUs);
    if (found === undefined) wait.unanswered(spinUs);
    else wait.answered((performance.now() - start) * 1000, spinUs);
    return found;
  }

  #takeWithin(spinUs: number, timeoutUs: number): M | QbFailure | undefined {
    const taken = takeWaiting(this.#reader.semaphoreAddress, spinUs, timeoutUs);
    return taken ? this.#judge(this.#reader.readTaken()) : undefined;
  }

  /** Checks once: a message, the end, or undefined. */
  #look(): M | QbFailure | undefined {
    const ended = this.#state.endReason();
    if (ended !== undefined) return ended;
    if (this.#state.owing) this.#state.sendOwed();
    const found = this.poll();
    if (found !== undefined) return found;
    const end = this.#state.checkEnd();
    // Messages that the server sent before it closed are still received.
    return end && (this.poll() ?? this.#state.recordEnd(end));
  }

  #judge(found: M | QbFailure): M | QbFailure {
    if (this.#state.vanished) return this.#state.recordEnd(vanished());
    return found instanceof QbFailure ? this.#state.recordEnd(found) : found;
  }

  #late(timeoutMs: number): QbFailure {
    return timedOut(`no ${this.#reader.kind}`, timeoutMs);
  }
}
