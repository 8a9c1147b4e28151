/** The servers that are compared: ours, and the C ones of test/native on libqb. */
import { native } from "../test/support/native.ts";
import { program, startService, type Service } from "../test/support/service.ts";
import { NODE } from "./tree.ts";

export type Side = "c" | "ours";
export const SIDES: readonly Side[] = ["c", "ours"];

/** The command of one side's server: an echo server, or one that answers from the tree `dir`. */
export function command(side: Side, name: string, dir?: string): string[] {
  if (dir === undefined) {
    return side === "c"
      ? [native("qb-echo-server"), name, "--accept-any"]
      : [...program(), "echo", "--socket", name, "--accept-any"];
  }
  return side === "c"
    ? [native("qb-answer-server"), name, dir, NODE]
    : [...program(), "serve", "--socket", name, "--dir", dir, "--node", NODE];
}

/** Starts both sides; they take turns, and whichever is not measured is idle. */
export async function startBoth(dir?: string): Promise<Record<Side, Service>> {
  const c = await startService((name) => command("c", name, dir));
  try {
    return { c, ours: await startService((name) => command("ours", name, dir)) };
  } catch (error) {
    await c.stop();
    throw error;
  }
}
