/** The program as a child of the runner: a client, or the runner's echo server. */
import { runClientChild } from "./client-child.ts";
import { runControlServer } from "./control-server.ts";

/** Runs `role` (CHILD_VARIABLE) to its end; the exit code. */
export async function runChild(role: string): Promise<number> {
  const [kind, name = ""] = role.split(" ");
  if (kind !== "control") {
    await runClientChild(role);
    return 0;
  }
  return (await runControlServer(name)) === undefined ? 0 : 1;
}
