/**
 * Predicts how soon the next request of a connection comes after a reply: until when the poller
 * waits for it, and whether waiting pays at all. The prediction is a moving average of the gaps
 * seen; after misses, the connection is not polled for until quick requests come again.
 */

/** As in PollLimits (src/base/limits.ts). */
export interface RequestGapSettings {
  readonly idleUs: number;
  readonly maxGapUs: number;
  readonly missesToStop: number;
}

/** Weight of the newest gap in the average: 1/4 follows a change within a few requests. */
const NEWEST_WEIGHT = 0.25;

/** A gap counts as at most this many times the longest that is polled for. */
const LONGEST_GAP = 1.5;

/** Time it takes to wake up: part of each gap in which the server or the client slept. */
const WAKE_UP_NS = 50_000;

/** Quick requests in a row before polling starts again; doubled after each time it did not pay. */
const QUICK_WANTED = 2;
const QUICK_WANTED_MAX = 256;

export class RequestGapPredictor {
  readonly #settings: RequestGapSettings;
  #gapNs = 0;
  #repliedNs = 0;
  #slept = false;
  #dueNs = 0;
  #misses = 0;
  #quick = 0;
  #quickWanted = QUICK_WANTED;
  #polled = true;

  constructor(settings: RequestGapSettings) {
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
    const wait = Math.max(this.#settings.idleUs * 1000, 2 * this.#gapNs);
    this.#dueNs = nowNs + wait + (slept ? WAKE_UP_NS : 0);
  }

  /**
   * Whether a request that is found now follows the last reply at once: within `withinNs`, and its
   * client did not have to be woken for that reply.
   */
  isBackToBack(nowNs: number, withinNs: number): boolean {
    return !this.#slept && nowNs - this.#repliedNs <= withinNs;
  }

  /** A request was found while polling. */
  found(nowNs: number): void {
    this.#misses = 0;
    const maxGapNs = this.#settings.maxGapUs * 1000;
    const awake = nowNs - this.#repliedNs - (this.#slept ? WAKE_UP_NS : 0);
    // Clipped: one long wait for a processor does not mean that the client has slowed down.
    const gap = Math.min(Math.max(0, awake), LONGEST_GAP * maxGapNs);
    this.#gapNs += (gap - this.#gapNs) * NEWEST_WEIGHT;
    if (!this.#polled) this.#countQuick(gap);
    else if (this.#gapNs > maxGapNs) this.#stopPolling();
    else this.#quickWanted = QUICK_WANTED;
  }

  /** A request woke us: the gap contains a sleep. */
  woke(nowNs: number): void {
    if (!this.#polled) this.#countQuick(nowNs - this.#repliedNs - WAKE_UP_NS);
  }

  /** A request that was not polled for; enough quick ones in a row start polling again. */
  #countQuick(gapNs: number): void {
    this.#quick = gapNs <= this.#settings.maxGapUs * 1000 ? this.#quick + 1 : 0;
    if (this.#quick < this.#quickWanted) return;
    this.#polled = true;
    this.#misses = 0;
    this.#gapNs = Math.max(0, gapNs);
  }

  /**
   * Polled until `nowNs`: counts a request that was due and did not come. True when that was one
   * miss too many, so that its next requests wake us again.
   */
  lookedUntil(nowNs: number): boolean {
    if (this.#dueNs === 0 || nowNs < this.#dueNs) return false;
    this.#dueNs = 0;
    this.#misses++;
    if (this.#misses < this.#settings.missesToStop) return false;
    this.#stopPolling();
    return true;
  }

  #stopPolling(): void {
    this.#polled = false;
    this.#dueNs = 0;
    this.#quick = 0;
    this.#quickWanted = Math.min(this.#quickWanted * 2, QUICK_WANTED_MAX);
  }
}
