/** The servers that are compared: ours, and the C ones of test/native on libqb. */
import { join } from "node:path";
import { native } from "../test/support/native.ts";
import { program, startService, type Service } from "../test/support/service.ts";
import { NODE } from "./tree.ts";

export type Side = "c" | "ours";
export const SIDES: readonly Side[] = ["c", "ours"];

/** What both servers do: answer from a tree, or echo, in the way that these flags say. */
export type Task = { readonly dir: string } | { readonly echo: readonly string[] };

/** The command of one side's server. */
export function command(side: Side, name: string, task: Task): string[] {
  if ("dir" in task) {
    return side === "c"
      ? [native("qb-answer-server"), name, task.dir, NODE]
      : [...program(), "serve", "--socket", name, "--dir", task.dir, "--node", NODE];
  }
  if (side === "c") return [native("qb-echo-server"), name, "--accept-any", ...task.echo];
  if (task.echo.length === 0) return [...program(), "echo", "--socket", name, "--accept-any"];
  return [process.execPath, join(import.meta.dir, "late-server.ts"), name, ...task.echo];
}

/** Starts both sides; they take turns, and whichever is not measured is idle. */
export async function startBoth(task: Task): Promise<Record<Side, Service>> {
  const c = await startService((name) => command("c", name, task));
  try {
    return { c, ours: await startService((name) => command("ours", name, task)) };
  } catch (error) {
    await c.stop();
    throw error;
  }
}
