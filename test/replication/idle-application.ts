/** A group with nothing to apply, whose state is the same on all members. */
import type { Steps } from "../../src/base/steps.ts";
import type { Application, Comparison } from "../../src/pmxcfs/replication/application.ts";

export const IDLE: Application = {
  tag: "notes",
  protocol: 1,
  whileSyncing: "notes wait",
  apply: () => ({ result: 0 }),
  membersChanged() {},
  state: () => new Uint8Array(1),
  // oxlint-disable-next-line require-yield -- it takes no time
  *compare(states): Steps<Comparison> {
    return { synced: states.map(() => true) };
  },
  keepUpdate: () => undefined,
  // oxlint-disable-next-line require-yield -- it takes no time
  *commit(): Steps<undefined> {
    return undefined;
  },
  dropSync() {},
  synced: () => [],
};
