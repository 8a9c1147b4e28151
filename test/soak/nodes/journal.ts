/**
 * The observations of a worker, with their times. judgement.ts decides which of them are faults,
 * from the times in which the node was disturbed.
 */

/** A failed call: a fault, except while the node is disturbed. */
export interface Incident {
  readonly at: number;
  readonly what: string;
}

/** An acknowledged change that was lost. */
export interface Loss {
  /** When it was acknowledged, ms since the epoch. */
  readonly at: number;
  readonly what: string;
}

/** A time in which a lock was held, ms since the epoch. */
export interface Held {
  readonly lock: string;
  readonly from: number;
  readonly to: number;
}

export interface Report {
  readonly counts: Readonly<Record<string, number>>;
  /** Faults at any time. */
  readonly faults: readonly string[];
  readonly incidents: readonly Incident[];
  readonly held: readonly Held[];
}

const MOST_KEPT = 200;

export class Journal {
  #counts: Record<string, number> = {};
  #faults: string[] = [];
  #incidents: Incident[] = [];
  #held: Held[] = [];

  count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1;
  }

  fault(what: string): void {
    if (this.#faults.length < MOST_KEPT) this.#faults.push(what);
  }

  incident(what: string): void {
    if (this.#incidents.length < MOST_KEPT) this.#incidents.push({ at: Date.now(), what });
  }

  held(lock: string, from: number, to: number): void {
    this.#held.push({ lock, from, to });
  }

  /** All since the last call. */
  take(): Report {
    const taken = {
      counts: this.#counts,
      faults: this.#faults,
      incidents: this.#incidents,
      held: this.#held,
    };
    this.#counts = {};
    this.#faults = [];
    this.#incidents = [];
    this.#held = [];
    return taken;
  }
}
