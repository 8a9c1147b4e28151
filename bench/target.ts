/**
 * The compared servers: ours, the C ones of test/native on libqb, and the floor, a server that
 * never sleeps and checks nothing, so that no server of this protocol can be faster on this host.
 */
import { join } from "node:path";
import { native } from "../test/support/native.ts";
import { program, startService, type Service } from "../test/support/service.ts";
import type { Scenario } from "./scenario.ts";
import { NODE } from "./tree.ts";

export type Side = "c" | "ours" | "floor";

/** The sides that can do every task. */
export const SIDES = ["c", "ours"] as const;
export type TaskSide = (typeof SIDES)[number];

/** The sides in a row. */
export function sidesOf(scenario: Scenario): readonly Side[] {
  if (scenario.kind !== "load" || scenario.requests !== undefined) return SIDES;
  const isOther = scenario.echo !== undefined || scenario.beside !== undefined;
  return isOther ? SIDES : [...SIDES, "floor"];
}

/** The task of the servers: answer from a tree, or echo as these flags say. */
export type Task = { readonly dir: string } | { readonly echo: readonly string[] };

/** The command of one side's server. */
export function command(side: TaskSide, name: string, task: Task): string[] {
  if ("dir" in task) {
    return side === "c"
      ? [native("qb-answer-server"), name, task.dir, NODE]
      : [...program(), "serve", "--socket", name, "--dir", task.dir, "--node", NODE];
  }
  if (side === "c") return [native("qb-echo-server"), name, "--accept-any", ...task.echo];
  if (task.echo.length === 0) return [...program(), "echo", "--socket", name, "--accept-any"];
  return [process.execPath, join(import.meta.dir, "late-server.ts"), name, ...task.echo];
}

/** Starts C's server and ours; they are measured alternately, and the other is idle meanwhile. */
export async function startBoth(task: Task): Promise<Map<Side, Service>> {
  const started = new Map<Side, Service>();
  try {
    for (const side of SIDES) {
      started.set(side, await startService((name) => command(side, name, task)));
    }
    return started;
  } catch (error) {
    for (const service of started.values()) await service.stop();
    throw error;
  }
}

/** Starts the floor. It echoes, or with `answerBytes` answers each request with so many bytes. */
export async function startFloor(answerBytes: number | undefined): Promise<Service> {
  const flags = answerBytes === undefined ? [] : ["--answer-bytes", String(answerBytes)];
  return await startService((name) => [native("qb-floor-server"), name, ...flags]);
}
