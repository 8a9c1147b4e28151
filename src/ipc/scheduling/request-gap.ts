/**
 * How soon the next request of a connection comes after a reply, as seen so far: until when the
 * poller waits for it, and whether that pays at all (DESIGN.md 4).
 */

/** As in PollLimits (src/base/limits.ts). */
export interface PaceSettings {
  readonly idleUs: number;
  readonly maxGapUs: number;
  readonly missesToStop: number;
}

/** Weight of the newest gap in the average: 1/4 follows a change within a few requests. */
const NEWEST_WEIGHT = 0.25;

/** A gap counts as at most this many times the longest that is polled for. */
const LONGEST_GAP = 1.5;

/** What it takes to be awake: a part of each gap in which we or the client slept. */
const WAKE_UP_NS = 50_000;

/** Quick requests wanted before polling again, doubled after each time it did not pay. */
const QUICK_WANTED = 2;
const QUICK_WANTED_MAX = 256;

export class Pace {
  readonly #settings: PaceSettings;
  #gapNs = 0;
  #repliedNs = 0;
  #slept = false;
  #dueNs = 0;
  #misses = 0;
  #quick = 0;
  #quickWanted = QUICK_WANTED;
  #polled = true;

  constructor(settings: PaceSettings) {
    this.#settings = settings;
  }

  /** When its last reply was sent. */
  get repliedNs(): number {
    return this.#repliedNs;
  }

  /** Until when its next request is waited for; 0 when that does not pay. */
  get dueNs(): number {
    return this.#dueNs;
  }

  /** A reply was sent; `slept` when its client had to be woken for it. */
  replied(nowNs: number, slept: boolean): void {
    this.#repliedNs = nowNs;
    this.#slept = slept;
    this.#dueNs = 0;
    if (!this.#polled) return;
    const patience = Math.max(this.#settings.idleUs * 1000, 2 * this.#gapNs);
    this.#dueNs = nowNs + patience + (slept ? WAKE_UP_NS : 0);
  }

  /** A request was found while looking. */
  found(nowNs: number): void {
    this.#misses = 0;
    const maxGapNs = this.#settings.maxGapUs * 1000;
    const awake = nowNs - this.#repliedNs - (this.#slept ? WAKE_UP_NS : 0);
    // Clipped: one long wait for a processor is no change of habits.
    const gap = Math.min(Math.max(0, awake), LONGEST_GAP * maxGapNs);
    this.#gapNs += (gap - this.#gapNs) * NEWEST_WEIGHT;
    if (!this.#polled) this.#came(gap);
    else if (this.#gapNs > maxGapNs) this.#giveUp();
    else this.#quickWanted = QUICK_WANTED;
  }

  /** A request woke us: the gap contains a sleep. */
  woke(nowNs: number): void {
    if (!this.#polled) this.#came(nowNs - this.#repliedNs - WAKE_UP_NS);
  }

  /** A request came that nobody waited for; enough quick ones in a row, and the next is. */
  #came(gapNs: number): void {
    this.#quick = gapNs <= this.#settings.maxGapUs * 1000 ? this.#quick + 1 : 0;
    if (this.#quick < this.#quickWanted) return;
    this.#polled = true;
    this.#misses = 0;
    this.#gapNs = Math.max(0, gapNs);
  }

  /**
   * We looked until now: counts a request that was due and did not come. True when that was one
   * too many, and its next requests wake us again.
   */
  looked(nowNs: number): boolean {
    if (this.#dueNs === 0 || nowNs < this.#dueNs) return false;
    this.#dueNs = 0;
    this.#misses++;
    if (this.#misses < this.#settings.missesToStop) return false;
    this.#giveUp();
    return true;
  }

  #giveUp(): void {
    this.#polled = false;
    this.#dueNs = 0;
    this.#quick = 0;
    this.#quickWanted = Math.min(this.#quickWanted * 2, QUICK_WANTED_MAX);
  }
}
