/** How many operations a session answered, how many with an error, and how long they took. */
import { opcodeName } from "./opcodes.ts";

/** Opcodes are below this; larger, unknown ones share the last slot. */
const SLOTS = 64;

/** Counts of one operation since the start. */
export interface OperationCounts {
  readonly operation: string;
  readonly answered: number;
  readonly errors: number;
  readonly ns: number;
}

export class OperationCounters {
  readonly #answered = new Float64Array(SLOTS);
  readonly #errors = new Float64Array(SLOTS);
  readonly #ns = new Float64Array(SLOTS);

  /** To be used as SessionHooks.answered. */
  count(opcode: number, error: number, ns: number): void {
    const slot = Math.min(opcode, SLOTS - 1);
    this.#answered[slot] = (this.#answered[slot] ?? 0) + 1;
    this.#ns[slot] = (this.#ns[slot] ?? 0) + ns;
    if (error < 0) this.#errors[slot] = (this.#errors[slot] ?? 0) + 1;
  }

  /** Operations that were answered at least once. */
  *all(): Iterable<OperationCounts> {
    for (const [slot, answered] of this.#answered.entries()) {
      if (answered === 0) continue;
      const errors = this.#errors[slot] ?? 0;
      yield { operation: opcodeName(slot), answered, errors, ns: this.#ns[slot] ?? 0 };
    }
  }
}
