/**
 * Runs the behaviours against one server, one after the other, beside a well-behaved client: the
 * outcome, the longest wait of the client, and the resources that were left.
 */
import { eventually } from "../support/eventually.ts";
import { startService, type Service } from "../support/service.ts";
import { type Behaviour, misbehave } from "./behaviours.ts";
import { type Footprint, footprintOf, waitedForProcessorMs, whatIsLeft } from "./footprint.ts";
import type { Setup } from "./setups.ts";
import { type Seen, Steady } from "./steady.ts";

/**
 * The longest allowed wait of the well-behaved client (docs/robustness.md), beyond what the server
 * itself waited for a processor.
 */
const WORST_MS = 1000;

export interface Outcome extends Behaviour {
  readonly did: string;
  readonly seen: Seen;
  readonly left: string;
  /** How long the server was ready to run and other processes had the processors, in ms. */
  readonly starvedMs: number;
}

/** The longest wait of the well-behaved client, connects included, in ms. */
export function worstMs({ seen }: Outcome): number {
  return Math.max(seen.worstNs, seen.worstConnectNs) / 1e6;
}

function isSlow(outcome: Outcome): boolean {
  return worstMs(outcome) >= WORST_MS + outcome.starvedMs;
}

export class Attacked implements AsyncDisposable {
  readonly server: Service;
  readonly #setup: Setup;
  readonly #steady: Steady;
  /** The footprint to compare with; reset after a behaviour that left something. */
  #before: Footprint;
  readonly #started = Date.now();

  private constructor(setup: Setup, server: Service, steady: Steady, before: Footprint) {
    this.#setup = setup;
    this.server = server;
    this.#steady = steady;
    this.#before = before;
  }

  /** `environment`: variables of the server, besides those of this process. */
  static async start(setup: Setup, environment: Record<string, string> = {}): Promise<Attacked> {
    const server = await startService((name) => setup.command(name), { environment });
    const steady = await Steady.open(server.name, setup.steady);
    await steady.go();
    await Bun.sleep(300);
    await steady.stop();
    return new Attacked(setup, server, steady, await settled(server.pid));
  }

  /** Runs one behaviour; repeats it if the other client waited too long: the host may be busy. */
  async show(behaviour: Behaviour): Promise<Outcome> {
    const outcome = await this.#showOnce(behaviour);
    return isSlow(outcome) ? await this.#showOnce(behaviour) : outcome;
  }

  async #showOnce(behaviour: Behaviour): Promise<Outcome> {
    const { pid } = this.server;
    const waitedMs = waitedForProcessorMs(pid);
    await this.#steady.go();
    let did: string;
    let seen: Seen;
    try {
      did = await misbehave(this.server.name, behaviour, this.#setup.attacker, pid);
    } finally {
      seen = await this.#steady.stop();
    }
    const starvedMs = waitedForProcessorMs(pid) - waitedMs;
    const left = await whatIsLeft(pid, this.#before);
    if (left !== "nothing") this.#before = footprintOf(pid);
    return { ...behaviour, did, seen, left, starvedMs };
  }

  /** Allowed number of log lines so far: 20 per 10 s, and a few of the server's own. */
  get linesAllowed(): number {
    return 21 * (Math.ceil((Date.now() - this.#started) / 10_000) + 1) + 10;
  }

  get lines(): number {
    return this.server.output.split("\n").length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#steady[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
  }
}

/** The footprint once it is stable: ring directories are prepared while the server is idle. */
async function settled(pid: number): Promise<Footprint> {
  let last = footprintOf(pid);
  let since = Date.now();
  return await eventually("a footprint that does not change", () => {
    const now = footprintOf(pid);
    if (JSON.stringify(now) !== JSON.stringify(last)) since = Date.now();
    last = now;
    return Date.now() - since > 100 ? now : undefined;
  });
}

/** The errors in an outcome, as texts; empty if there are none. */
export function faults(outcome: Outcome, verdict: RegExp | undefined, mayFail: boolean): string[] {
  const { did, seen, left } = outcome;
  const found: string[] = [];
  if (/[A-Z]{4}/.test(did.replaceAll("LARGER", ""))) found.push(did);
  if (verdict !== undefined && !verdict.test(did)) found.push(`"${did}" is not ${verdict}`);
  if (isSlow(outcome)) {
    found.push(
      `others waited ${worstMs(outcome)} ms, the server ${outcome.starvedMs} ms for a processor`,
    );
  }
  if (seen.mismatches > 0) found.push(`others got ${seen.mismatches} wrong answers`);
  if (seen.failures > 0 && !mayFail) found.push(`others failed: ${seen.error}`);
  if (left !== "nothing") found.push(`left: ${left}`);
  return found;
}
