/** The program as a child process of the runner: a client, or the control server. */
import { runClientChild } from "./client-child.ts";
import { runControlServer } from "./control-server.ts";

/** Runs `role` (the value of CHILD_VARIABLE) until it ends; returns the exit code. */
export async function runChild(role: string): Promise<number> {
  const [kind, name = ""] = role.split(" ");
  if (kind !== "control") {
    await runClientChild(role);
    return 0;
  }
  return (await runControlServer(name)) === undefined ? 0 : 1;
}
