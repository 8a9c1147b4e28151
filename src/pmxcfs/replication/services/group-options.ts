/** What the service of a group (group-service.ts) is given, and the events that it passes on. */
import type { Log } from "../../../base/log.ts";
import type { Member, Mode } from "../events.ts";
import type { Dfsm } from "../machine.ts";

export interface GroupServiceOptions {
  readonly name: string;
  /** The group's name with its NUL. */
  readonly group: string;
  readonly log: Log;
  /** Makes the machine once the node id is known, and a new one if the node id changes. */
  readonly machineOf: (self: Member) => Dfsm;
  /** Called before each event of the group; handles the quorum events that have arrived. */
  readonly beforeEvent: () => void;
  /** Awaited before a confchg is handled: the quorum state that belongs to it is then known. */
  readonly beforeConfchg: () => Promise<void>;
  /** Awaited before a join, for facts that the join needs. Must have its own time limit. */
  readonly beforeJoin?: () => Promise<void>;
  /** Called at each change of the mode: whether the group is being synchronised. */
  readonly syncing: (isSyncing: boolean) => void;
  /** Called when the connection has ended. */
  readonly lost: () => void;
  /** Asked before a join: false while what the group stores cannot be stored. */
  readonly works?: () => boolean;
}

/** An event of a group, as observers get it, in order. */
export type GroupEvent =
  | { readonly kind: "message"; readonly from: Member; readonly message: Buffer }
  | { readonly kind: "members"; readonly members: readonly Member[] }
  | { readonly kind: "mode"; readonly mode: Mode };
