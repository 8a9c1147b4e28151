/**
 * Work that is too long for one turn of the event loop, in slices: one at each call of `work`, the
 * rest between other events. One job at a time.
 */
import { slice, type Steps } from "../../base/steps.ts";
import { giveWay } from "../../base/turns.ts";

/** A change of some rows is complete in the first slice, and so in the next answer, on any host. */
const LEAST_STEPS = 20;

export class SlicedWork implements Disposable {
  #steps: Steps | undefined;
  #timer: ReturnType<typeof setImmediate> | undefined;
  readonly #failed: (error: unknown) => void;

  /** `failed` gets what a job throws; the job is over then. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  get busy(): boolean {
    return this.#steps !== undefined;
  }

  /** Begins a job and does its first slice; the rest follows by itself. No other may be running. */
  start(steps: Steps): void {
    this.#steps = steps;
    this.work();
  }

  /** Does one slice of the running job. */
  work(): void {
    const steps = this.#steps;
    if (steps === undefined) return;
    try {
      if (typeof slice(steps, LEAST_STEPS) === "object") {
        this.#steps = undefined;
        return;
      }
    } catch (error) {
      this.#steps = undefined;
      this.#failed(error);
      return;
    }
    this.#timer ??= setImmediate(() => {
      this.#timer = undefined;
      const began = performance.now();
      this.work();
      giveWay(performance.now() - began);
    });
  }

  /** Abandons the running job. */
  [Symbol.dispose](): void {
    if (this.#timer !== undefined) clearImmediate(this.#timer);
    this.#timer = undefined;
    this.#steps?.return();
    this.#steps = undefined;
  }
}
