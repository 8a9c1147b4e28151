/**
 * Cases that differ in each run: random traffic from a seed. The same seed makes the same cases.
 */
import type { Case, Step } from "../case.ts";

/** Ids of requests that write nothing, and unused ids; -3 is absent, it ends the connection. */
const IDS = [0, 1, 2, 3, 5, 6, 8, 9, 10, 11, 12, 13, 14, 99, -7, 0x7fffffff];
const STEPS = 60;
const BODY_MAX = 40_000;

/** mulberry32: a generator of 32 bits of state, numbers from 0 up to 1. */
function numbersFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function sizes(seed: number): Case {
  const next = numbersFrom(seed);
  const steps = Array.from({ length: STEPS }, (): Step => {
    const size = Math.floor(next() ** 3 * BODY_MAX);
    if (next() < 0.15) return { do: "pipeline", count: 1 + Math.floor(next() * 100) };
    return { do: "ping", body: { pattern: size } };
  });
  return {
    name: "random.sizes",
    shows: `Requests and pipelines of random sizes are answered in order (seed ${seed})`,
    steps: [{ do: "connect", size: 65_536 }, ...steps],
    deadlineMs: 20_000,
  };
}

function requests(seed: number): Case {
  const next = numbersFrom(seed + 1);
  const steps = Array.from({ length: STEPS }, (): Step => {
    const id = IDS[Math.floor(next() * IDS.length)] ?? 0;
    const body = Uint8Array.from({ length: Math.floor(next() * 40) }, () => next() * 256);
    return { do: "call", id, body, expect: "any answer" };
  });
  return {
    name: "random.requests",
    shows: `Random requests are all answered, and the server keeps serving (seed ${seed})`,
    profiles: ["pmxcfs"],
    steps: [{ do: "connect" }, ...steps, { do: "ping" }],
    deadlineMs: 20_000,
  };
}

/** Requests with random ids and bodies; the same ones for the same `seed`. */
export function randomCases(seed: number): readonly Case[] {
  return [sizes(seed), requests(seed)];
}
