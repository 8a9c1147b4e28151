/**
 * A connection that is being made, for a proxy: waited for asleep as long as its own clients may
 * be kept waiting, and then without. Owns what comes of it until that is handed over.
 */
import { CLOSED, QbFailure } from "./failure.ts";
import type { QbClient } from "./qb-client.ts";
import { type Accepted, SetUp, type Wanted } from "./setup.ts";
import { waitBlockingFor, waitFor } from "./waiting.ts";

/** What came of it. */
export type Connected = QbClient | QbFailure;

export class Connecting {
  readonly #setUp: SetUp;
  readonly #attach: (accepted: Accepted) => Connected;
  #result: Connected | undefined;
  #answered = false;

  /** `attach` makes a client of an accepted set-up. */
  constructor(wanted: Wanted, attach: (accepted: Accepted) => Connected) {
    this.#setUp = new SetUp(wanted);
    this.#attach = attach;
  }

  /** What came of it within `withinMs`, asleep in the kernel; 0: one look. */
  now(withinMs: number): Connected | undefined {
    const deadline = performance.now() + withinMs;
    return waitBlockingFor(() => this.#look(), deadline);
  }

  /** What comes of it within `timeoutMs`, other events of the loop served meanwhile. */
  async later(timeoutMs: number): Promise<Connected> {
    const deadline = performance.now() + timeoutMs;
    const found = await waitFor(() => this.#look(), deadline);
    if (found !== undefined) return found;
    this.#result = this.#setUp.late(timeoutMs);
    this.#setUp.close();
    return this.#result;
  }

  /** Whether there is a word of the server, or nobody listens. */
  get answered(): boolean {
    return this.#answered;
  }

  /** Nobody wants it any more: closes what there is. */
  cancel(): void {
    if (this.#result === undefined) this.#setUp.close();
    else if (!(this.#result instanceof QbFailure)) this.#result.close();
    this.#result = CLOSED;
  }

  #look(): Connected | undefined {
    if (this.#result !== undefined) return this.#result;
    const settled = this.#setUp.step();
    if (settled === undefined) return undefined;
    this.#answered = true;
    if (settled instanceof QbFailure) this.#setUp.close();
    this.#result = settled instanceof QbFailure ? settled : this.#attach(settled);
    return this.#result;
  }
}
