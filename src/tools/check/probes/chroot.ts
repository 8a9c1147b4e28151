/**
 * Whether this is a chroot, as in a rescue system. The machine then has the name of the system
 * around it, which says nothing about the node whose files are here.
 */
import type { Context } from "../probe.ts";

/** Only root can see the root directory of pid 1; a user without that is told nothing. */
export function isChroot({ machine, facts, left }: Context): Promise<boolean> {
  return facts.once("chroot", async () => {
    const words = ["stat", "-L", "-c", "%d:%i", `${machine.paths.proc}/1/root`, "/"];
    const { code, out } = await machine.run(words, left());
    const [init, own] = out.split("\n");
    return code === 0 && init !== own;
  });
}
