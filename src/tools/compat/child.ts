/** What this program is when the runner starts it again: a client, or the runner's echo server. */
import { runClientChild } from "./client-child.ts";
import { runControlServer } from "./control-server.ts";

/** Does what `role` (CHILD_VARIABLE) says until it is over; the exit code. */
export async function runChild(role: string): Promise<number> {
  const [kind, name = ""] = role.split(" ");
  if (kind !== "control") {
    await runClientChild(role);
    return 0;
  }
  return (await runControlServer(name)) === undefined ? 0 : 1;
}
