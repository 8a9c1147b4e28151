/**
 * Work that is too long for one turn of the event loop, in slices: a part at once when a request
 * asks, the rest between other events. One job at a time. A job yields after every step: nothing
 * for one of about 50 us, or its length in such steps. A slice has a least number of them, so that
 * a small change is taken over at once on a machine that is busy with other things too.
 */

/** A slice, in ms: the loop may be held for 2. */
const SLICE_MS = 1;
/** Steps of every slice, however long they take by the clock. */
const LEAST_STEPS = 20;

/** A job: yields wherever it can be interrupted, with how long the step was. */
export type Steps = Generator<number | undefined, void>;

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

  /** Begins a job and does its first slice; the rest follows by itself. None may be under way. */
  start(steps: Steps): void {
    this.#steps = steps;
    this.work();
  }

  /** One slice of what is under way. */
  work(): void {
    const steps = this.#steps;
    if (steps === undefined) return;
    const end = performance.now() + SLICE_MS;
    try {
      for (let count = 0; count < LEAST_STEPS || performance.now() < end;) {
        const { done, value } = steps.next();
        count += value ?? 1;
        if (done !== true) continue;
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
      this.work();
    });
  }

  /** Ends what is under way, unfinished. */
  [Symbol.dispose](): void {
    if (this.#timer !== undefined) clearImmediate(this.#timer);
    this.#timer = undefined;
    this.#steps?.return();
    this.#steps = undefined;
  }
}
