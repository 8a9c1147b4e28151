/**
 * Predicts how soon after a reply the next request of a connection comes, and so how long the
 * poller waits for it, if at all. The prediction is a moving average of the measured gaps. After
 * several misses the connection is not polled until it sends requests in quick succession again.
 */

/** Settings from PollLimits (src/base/limits.ts). */
export interface RequestGapSettings {
  readonly idleUs: number;
  readonly maxGapUs: number;
  readonly missesToStop: number;
}

/** Weight of the newest gap in the average: 1/4 follows a change within a few requests. */
const NEWEST_WEIGHT = 0.25;

/** A gap counts as at most this many times `maxGapUs`. */
const MAX_GAP_FACTOR = 1.5;

/** Duration of a wake-up: included in each gap in which the server or the client slept. */
const WAKE_UP_NS = 50_000;

/** Quick requests in a row that start polling again; doubled each time polling is stopped. */
const QUICK_REQUIRED = 2;
const MAX_QUICK_REQUIRED = 256;

export class RequestGapPredictor {
  readonly #settings: RequestGapSettings;
  #gapNs = 0;
  #repliedNs = 0;
  #slept = false;
  #dueNs = 0;
  #misses = 0;
  #quick = 0;
  #quickRequired = QUICK_REQUIRED;
  #polled = true;

  constructor(settings: RequestGapSettings) {
    this.#settings = settings;
  }

  /** When the last reply was sent (Bun.nanoseconds()). */
  get repliedNs(): number {
    return this.#repliedNs;
  }

  /** Until when to wait for the next request; 0: do not wait. */
  get dueNs(): number {
    return this.#dueNs;
  }

  /** A reply was sent; `slept`: its client had to be woken for it. */
  replied(nowNs: number, slept: boolean): void {
    this.#repliedNs = nowNs;
    this.#slept = slept;
    this.#dueNs = 0;
    if (!this.#polled) return;
    const wait = Math.max(this.#settings.idleUs * 1000, 2 * this.#gapNs);
    this.#dueNs = nowNs + wait + (slept ? WAKE_UP_NS : 0);
  }

  /** A request was found while polling. */
  found(nowNs: number): void {
    this.#misses = 0;
    const maxGapNs = this.#settings.maxGapUs * 1000;
    const awake = nowNs - this.#repliedNs - (this.#slept ? WAKE_UP_NS : 0);
    // Clipped, because one long wait for a processor does not mean that the client is slower now.
    const gap = Math.min(Math.max(0, awake), MAX_GAP_FACTOR * maxGapNs);
    this.#gapNs += (gap - this.#gapNs) * NEWEST_WEIGHT;
    if (!this.#polled) this.#countQuick(gap);
    else if (this.#gapNs > maxGapNs) this.#stopPolling();
    else this.#quickRequired = QUICK_REQUIRED;
  }

  /** A request was announced by a notify byte, so the gap contains a wake-up. */
  woke(nowNs: number): void {
    if (!this.#polled) this.#countQuick(nowNs - this.#repliedNs - WAKE_UP_NS);
  }

  /** Counts a request that was not polled for; enough quick ones in a row start polling again. */
  #countQuick(gapNs: number): void {
    this.#quick = gapNs <= this.#settings.maxGapUs * 1000 ? this.#quick + 1 : 0;
    if (this.#quick < this.#quickRequired) return;
    this.#polled = true;
    this.#misses = 0;
    this.#gapNs = Math.max(0, gapNs);
  }

  /**
   * The poller looked until `nowNs`: counts a miss if a request was due by then. True when this
   * miss stops the polling of this connection, whose next requests then wake the server.
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
    this.#quickRequired = Math.min(this.#quickRequired * 2, MAX_QUICK_REQUIRED);
  }
}
