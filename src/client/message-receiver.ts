/**
 * Waiting for what a server sends: the responses or the events of one connection. A message is
 * announced by its ring's semaphore alone, and the end of the connection by its socket alone, so
 * every wait looks at both.
 */
import type { RingMemory } from "../shm/ring.ts";
import { takeWaiting } from "../platform/futex.ts";
import { QbFailure, timedOut, vanished } from "./failure.ts";
import { MessageReader, type QbMessageIn } from "./message.ts";
import type { AdaptiveWait } from "./adaptive-wait.ts";
import { spinFor, waitFor } from "./waiting.ts";

/** Blocking waits look at the setup socket this often: a hang-up wakes no semaphore. */
const LIVENESS_SLICE_US = 50_000;
/** Their interval while the socket has not taken all notify bytes. */
const OWING_SLICE_US = 1000;
/** Blocking waits spin this long before they sleep: a polling server answers within it. */
const SPIN_US = 30;

/** The connection a message comes on. */
export interface ConnectionState {
  /** True when the server truncated the ring files under us. */
  readonly vanished: boolean;
  /** True while the server has not taken all notify bytes. */
  readonly owing: boolean;
  /** Why no message comes any more, where that is known. */
  over(): QbFailure | undefined;
  /** Sends the notify bytes that are owed. */
  announce(): void;
  /** The end of the connection, when the server has gone. */
  gone(): QbFailure | undefined;
  /** Records why the connection ended (the first reason stays) and returns it. */
  ends(failure: QbFailure): QbFailure;
}

export class MessageReceiver<M extends QbMessageIn = QbMessageIn> {
  readonly #reader: MessageReader<M>;
  readonly #state: ConnectionState;

  constructor(memory: RingMemory, kind: "response" | "event", state: ConnectionState) {
    this.#reader = new MessageReader(memory, kind);
    this.#state = state;
  }

  /** A look at the ring alone: a message, what is wrong with it, or nothing. */
  poll(): M | QbFailure | undefined {
    const found = this.#reader.read();
    return found === undefined ? undefined : this.#judge(found);
  }

  /** The next message within `timeoutMs`, other events of the loop served meanwhile. */
  async wait(timeoutMs: number, spins: boolean): Promise<M | QbFailure> {
    const over = this.#state.over();
    if (over !== undefined) return over;
    const deadline = performance.now() + timeoutMs;
    const early = spins ? spinFor(() => this.poll()) : undefined;
    const found = early ?? (await waitFor(() => this.#look(), deadline));
    return found ?? this.#late(timeoutMs);
  }

  /** The next message within `timeoutMs`, asleep in the kernel. */
  waitBlocking(timeoutMs: number): M | QbFailure {
    const over = this.#state.over();
    if (over !== undefined) return over;
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

  /** Blocks for the next message as long as `wait` says. */
  hold(wait: AdaptiveWait): M | QbFailure | undefined {
    // No blocking while notify bytes are owed: the timer that pays them must run.
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

  /** One look: a message, the end, or nothing yet. */
  #look(): M | QbFailure | undefined {
    const over = this.#state.over();
    if (over !== undefined) return over;
    if (this.#state.owing) this.#state.announce();
    const found = this.poll();
    if (found !== undefined) return found;
    const end = this.#state.gone();
    // What it sent before it went still counts.
    return end && (this.poll() ?? this.#state.ends(end));
  }

  #judge(found: M | QbFailure): M | QbFailure {
    if (this.#state.vanished) return this.#state.ends(vanished());
    return found instanceof QbFailure ? this.#state.ends(found) : found;
  }

  #late(timeoutMs: number): QbFailure {
    return timedOut(`no ${this.#reader.kind}`, timeoutMs);
  }
}
