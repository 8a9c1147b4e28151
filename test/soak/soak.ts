/**
 * A soak of an echo server: bodies of all sizes, deep pipelines, connects, clients that are killed
 * or send invalid data. Checks every echoed byte, and samples the resources of the server.
 */
import { footprintOf, residentKib } from "../robust/footprint.ts";
import { Steady } from "../robust/steady.ts";
import { native } from "../support/native.ts";
import { type LoadResult } from "../support/qb-load.ts";
import type { Service } from "../support/service.ts";

export interface Sample {
  readonly residentKib: number;
  readonly descriptors: number;
  readonly mappings: number;
  readonly directories: number;
}

export interface SoakResult {
  readonly samples: readonly Sample[];
  readonly requests: number;
  readonly connects: number;
  readonly killed: number;
  /** Wrong bytes, errors, growth. */
  readonly faults: readonly string[];
}

const SAMPLE_MS = 250;
/** Private memory may grow by this much after the first fifth. */
const GROWTH_KIB = 48 * 1024;

/** Flags of qb-load, one load each. */
const LOADS: readonly (readonly string[])[] = [
  ["--body", "0", "--verify"],
  ["--body", "200", "--verify", "--think-us", "50"],
  ["--body", "5003", "--verify", "--clients", "2"],
  ["--body", "300001", "--verify", "--sleep-us", "500"],
  ["--body", "1048000", "--verify", "--sleep-us", "2000"],
  ["--body", "64", "--verify", "--clients", "20", "--sleep-us", "300"],
  ["--body", "700", "--depth", "100"],
  ["--connects", "--sleep-us", "1000"],
  ["--connects", "--sleep-us", "3000", "--max-msg-size", "12328"],
];

/** Group and name of behaviours of qb-attack after which a server could keep resources. */
const ATTACKS: readonly (readonly [string, string])[] = [
  ["slow clients", "killed at a random moment, 40 times"],
  ["slow clients", "killed in the middle of a message"],
  ["truncation", "any of them cut in a race with traffic"],
  ["races", "all of it flipped"],
  ["handshake", "closed after each byte"],
];

class Soak {
  readonly samples: Sample[] = [];
  readonly faults: string[] = [];
  requests = 0;
  connects = 0;
  killed = 0;
  readonly #server: Service;
  readonly #deadline: number;
  #turn = 0;

  constructor(server: Service, ms: number) {
    this.#server = server;
    this.#deadline = performance.now() + ms;
  }

  get over(): boolean {
    return performance.now() >= this.#deadline || this.faults.length > 0;
  }

  sample(): void {
    if (this.#server.exitCode !== undefined) {
      this.faults.push(`the server ended with ${this.#server.exitCode}`);
      return;
    }
    const { pid } = this.#server;
    this.samples.push({ residentKib: residentKib(pid), ...footprintOf(pid) });
  }

  async watch(): Promise<void> {
    while (!this.over) {
      this.sample();
      await Bun.sleep(SAMPLE_MS);
    }
  }

  /** Runs one load after the other, 0.5 to 2 s each. */
  async load(): Promise<void> {
    while (!this.over) {
      const flags = LOADS[this.#turn++ % LOADS.length] ?? [];
      const ms = 500 + ((this.#turn * 389) % 1500);
      const command = [native("qb-load"), this.#server.name, "--ms", String(ms), ...flags];
      const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
      const text = await child.stdout.text();
      if ((await child.exited) !== 0) {
        this.faults.push(`a load failed: ${flags.join(" ")}`);
        return;
      }
      this.#judge(flags, JSON.parse(text) as LoadResult);
    }
  }

  #judge(flags: readonly string[], result: LoadResult): void {
    if (flags.includes("--connects")) this.connects += result.requests;
    else this.requests += result.requests;
    const { errors, error, mismatches } = result;
    if (mismatches > 0) this.faults.push(`${mismatches} wrong answers: ${flags.join(" ")}`);
    if (errors > 0) this.faults.push(`${errors} errors (${error}): ${flags.join(" ")}`);
  }

  /** Kills clients and runs attacks, one after the other. */
  async disturb(): Promise<void> {
    for (let turn = 0; !this.over; turn++) {
      const client = await Steady.open(this.#server.name, []);
      await client.go();
      await Bun.sleep(50 + ((turn * 37) % 200));
      await client.kill();
      this.killed++;
      const [group, name] = ATTACKS[turn % ATTACKS.length] ?? ["", ""];
      const attack = [native("qb-attack"), this.#server.name, group, name];
      await Bun.spawn(attack, { stdout: "ignore", stderr: "ignore" }).exited;
    }
  }
}

function growth(samples: readonly Sample[]): string[] {
  const warm = samples.slice(Math.floor(samples.length / 5), Math.ceil((2 * samples.length) / 5));
  const late = samples.slice(Math.floor((4 * samples.length) / 5));
  const lowest = (part: readonly Sample[]) => Math.min(...part.map((sample) => sample.residentKib));
  const grown = lowest(late) - lowest(warm);
  return grown > GROWTH_KIB ? [`memory has grown by ${grown} KiB`] : [];
}

/** Soaks `server`, an echo server, for `ms`, or until the first fault. */
export async function soak(server: Service, ms: number): Promise<SoakResult> {
  const run = new Soak(server, ms);
  await Promise.all([run.watch(), run.load(), run.load(), run.disturb()]);
  const faults = [...run.faults, ...growth(run.samples)];
  const { samples, requests, connects, killed } = run;
  return { samples, requests, connects, killed, faults };
}
