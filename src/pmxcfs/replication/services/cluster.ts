/**
 * A node's part in its cluster: corosync's services, the two replicated groups over them, and the
 * state that they change (members, keys, log, tree). C counterpart: main() of pmxcfs.c as far as it
 * starts services, and status.c.
 */
import { within } from "../../../base/within.ts";
import { counted } from "../../../base/counted.ts";
import { Errno } from "../../../base/errno.ts";
import { ReplicationLimits } from "../../../base/limits.ts";
import { everySecond } from "../../../base/heartbeat.ts";
import type { Log } from "../../../base/log.ts";
import type { ClusterLog, LogEntry } from "../../state/cluster-log.ts";
import type { Steps } from "../../../base/steps.ts";
import { LOCK_DIRECTORY } from "../../state/locks.ts";
import type { ClusterFacts } from "../../state/members.ts";
import { NODE_IP } from "../../state/status.ts";
import type { TreeStore } from "../../store/tree-store.ts";
import { DatabaseGroup, type OverruledBy } from "../dcdb.ts";
import { type Member, memberText } from "../events.ts";
import type { GroupStatus } from "../group-status.ts";
import { Dfsm } from "../machine.ts";
import type { GroupName } from "../message-text.ts";
import { StatusGroup, type StatusGroupOptions } from "../status-group.ts";
import { ClockWatch } from "./clock-watch.ts";
import { ConfigurationService } from "./configuration-service.ts";
import { DroppedMessages } from "./dropped-messages.ts";
import { DATABASE_GROUP, STATUS_GROUP } from "./group-names.ts";
import type { GroupEvent } from "./group-options.ts";
import { GroupService, type GroupTimes, instantNow } from "./group-service.ts";
import { OwnAddress } from "./own-address.ts";
import { QuorumService } from "./quorum-service.ts";
import { Supervisor } from "./service.ts";
import { StartHold } from "./start-hold.ts";
import { SyncSlices } from "./sync-slices.ts";

/** After this long the status group is joined even when the nodes are not known. */
const NODES_MS = 10_000;

export interface ClusterOptions {
  readonly tree: TreeStore;
  readonly members: {
    update(facts: ClusterFacts): void;
    setOnline(ids: ReadonlySet<number>): void;
    setQuorate(quorate: boolean): void;
    nameOf(id: number): string | undefined;
  };
  readonly status: StatusGroupOptions["status"] & { membersChanged(): void };
  readonly clusterLog: StatusGroupOptions["log"] & Pick<ClusterLog, "add" | "newestEntry">;
  /** Resolves this node's name to its address (latin1). Does not throw. */
  readonly address: () => Promise<string | undefined>;
  /** Milliseconds a change may wait; 30 s unless given. */
  readonly deadlineMs?: number;
  readonly log: Log;
}

/** The status of the services and groups. */
export interface ClusterStatus {
  readonly quorate: boolean;
  /** Node ids of this partition, as quorum has them. */
  readonly nodes: readonly number[];
  /** Which services are connected. */
  readonly services: Readonly<Record<"quorum" | "confdb" | "dcdb" | "status", boolean>>;
  /** The groups; undefined before the first connection. */
  readonly groups: {
    readonly dcdb: GroupStatus | undefined;
    readonly status: GroupStatus | undefined;
  };
}

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #quorum: QuorumService;
  readonly #configuration: ConfigurationService;
  readonly #database: GroupService;
  readonly #status: GroupService;
  readonly #supervisor: Supervisor;
  #databaseGroup: DatabaseGroup | undefined;
  #nodeid: number | undefined;
  #statusGroup: StatusGroup | undefined;
  readonly #clock: ClockWatch;
  #clockTicks: Disposable | undefined;
  readonly #dropped: DroppedMessages;
  readonly #address: OwnAddress;
  readonly #hold = new StartHold();
  readonly #slices = new SyncSlices();
  /** The last `nodeip` that was set, for a status group that is made later. */
  #nodeIp: Uint8Array | undefined;

  constructor(options: ClusterOptions) {
    const { log, members, status } = options;
    const lost = (): void => this.#supervisor.tryUntilConnected();
    this.#options = options;
    members.setQuorate(false);
    this.#clock = new ClockWatch({
      locksAfter: (seconds) => this.#ownLocksAfter(seconds),
      report: (text) => log.tagged("main").error(text),
    });
    this.#dropped = new DroppedMessages(log.tagged("status"));
    this.#address = new OwnAddress({
      find: options.address,
      changed: () => this.#addressChanged(),
    });
    this.#quorum = new QuorumService({
      log,
      changed: (quorate, nodes) => this.#quorumChanged(quorate, nodes),
      lost,
    });
    this.#configuration = new ConfigurationService({
      log,
      read(facts) {
        members.update(facts);
        status.membersChanged();
      },
      lost,
    });
    const shared = {
      log,
      beforeEvent: () => this.#quorum.drain(),
      beforeConfchg: () => this.#quorum.refresh(),
      lost,
    };
    this.#database = new GroupService({
      ...shared,
      name: "dcdb",
      group: DATABASE_GROUP,
      syncing: (isSyncing) => this.#slices.changed("dcdb", isSyncing),
      machineOf: (self) => this.#databaseMachine(self),
      works: () => this.#databaseWorks(),
    });
    this.#status = new GroupService({
      ...shared,
      name: "status",
      group: STATUS_GROUP,
      syncing: (isSyncing) => this.#slices.changed("status", isSyncing),
      machineOf: (self) => this.#statusMachine(self),
      beforeJoin: () => this.#beforeStatus(),
    });
    this.#supervisor = new Supervisor(
      [this.#quorum, this.#configuration, this.#database, this.#status],
      log,
    );
  }

  /** Starts the services; each comes up as soon as corosync accepts it. */
  start(): void {
    this.#supervisor.start();
    this.#clockTicks = everySecond(() => this.#clock.tick());
  }

  /** A mount was taken over: changes wait a while for quorum and the group (start-hold.ts). */
  holdChanges(): void {
    this.#hold.begin(ReplicationLimits.takenOverMs);
  }

  /** Resolves when changes need not wait any more; undefined when they need not now. */
  get held(): Promise<void> | undefined {
    return this.#hold.held;
  }

  /** Leaves both groups: the other members see a leave, not a failure. */
  async stop(): Promise<void> {
    this.#hold.end();
    this.#clockTicks?.[Symbol.dispose]();
    this.#address[Symbol.dispose]();
    this.#dropped.close();
    await this.#supervisor.stop();
  }

  get quorate(): boolean {
    return this.#quorum.quorate;
  }

  /** This node's id in corosync; undefined before the first connection. */
  get nodeid(): number | undefined {
    return this.#nodeid;
  }

  /** True while a change that another node made is applied to the tree. */
  get appliesForOthers(): boolean {
    return this.#database.appliesForOthers;
  }

  /** The group of changes of the tree; undefined before the first connection. */
  get database(): { readonly group: DatabaseGroup; readonly service: GroupService } | undefined {
    const group = this.#databaseGroup;
    return group && { group, service: this.#database };
  }

  /**
   * SET_STATUS: applied here, then sent, as in C even when applying it failed; but not a value that
   * is too large, or one key too many: other nodes would keep it.
   */
  setStatus(name: string, data: Uint8Array): 0 | Errno {
    const outcome = this.#options.status.set(name, data);
    if (outcome === Errno.EFBIG || outcome === Errno.ENOSPC) return outcome;
    if (name === NODE_IP && outcome === 0) this.#nodeIp = Buffer.from(data);
    const group = this.#statusGroup;
    if (group !== undefined) this.#status.send(group.encodeKey(name, data));
    return outcome;
  }

  /** LOG_CLUSTER_MSG: logged here, then sent. */
  log(entry: LogEntry): void {
    const { clusterLog } = this.#options;
    const group = this.#statusGroup;
    if (!clusterLog.add(entry) || group === undefined) return;
    this.#status.send(group.encodeLog(clusterLog.newestEntry()));
  }

  /** Asks all members to compare their trees; false when this is not possible now. */
  verify(): boolean {
    return this.#database.verify();
  }

  get view(): ClusterStatus {
    return {
      quorate: this.#quorum.quorate,
      nodes: this.#quorum.nodes,
      services: {
        quorum: this.#quorum.isUp,
        confdb: this.#configuration.isUp,
        dcdb: this.#database.connected,
        status: this.#status.connected,
      },
      groups: { dcdb: this.#database.status, status: this.#status.status },
    };
  }

  /** Calls `observer` with each event of both groups, until it is undefined again. */
  observe(observer: ((group: GroupName, event: GroupEvent) => void) | undefined): void {
    for (const [name, service] of [
      ["dcdb", this.#database],
      ["status", this.#status],
    ] as const) {
      service.observer = observer && ((event) => observer(name, event));
    }
  }

  /** Times of both groups since the start. */
  get times(): Readonly<Record<GroupName, GroupTimes>> {
    return { dcdb: this.#database.times, status: this.#status.times };
  }

  #quorumChanged(quorate: boolean, nodes: readonly number[]): void {
    this.#options.members.setQuorate(quorate);
    if (this.#databaseGroup !== undefined) this.#databaseGroup.quorate = quorate;
    // Without nodes the connection to quorum has ended, and so will that of the group.
    const refusal = quorate || nodes.length === 0 ? undefined : Errno.EACCES;
    this.#database.quorumView(nodes, refusal);
    this.#status.quorumView(nodes);
    this.#endHold();
  }

  /** Changes that waited are sent in a later microtask, when the group has its machine. */
  #endHold(): void {
    if (this.#quorum.quorate && this.#databaseGroup !== undefined) this.#hold.end();
  }

  /** Waits for the nodes, since keys of unknown nodes are dropped; limited, since cmap may hang. */
  async #beforeStatus(): Promise<void> {
    await within(this.#configuration.known, NODES_MS);
    await this.#address.refresh();
  }

  /** The address was found after the join: the other members have an old one, or none. */
  #addressChanged(): void {
    for (const message of this.#statusGroup?.synced() ?? []) this.#status.send(message);
  }

  #databaseMachine(self: Member): Dfsm {
    const { tree } = this.#options;
    const group = new DatabaseGroup({
      tree,
      nodeid: self.nodeid,
      onOverruled: (plan) => this.#overruled(plan),
    });
    group.quorate = this.#quorum.quorate;
    this.#databaseGroup = group;
    this.#nodeid = self.nodeid;
    this.#endHold();
    return this.#machine(self, group);
  }

  #statusMachine(self: Member): Dfsm {
    const { status, clusterLog, members } = this.#options;
    const group = new StatusGroup({
      self,
      status,
      log: clusterLog,
      onMembers: (ids) => members.setOnline(ids),
      address: () => this.#address.current,
      onLog: (outcome) => this.#logReceived(outcome),
      onDropped: (text, nodeid) => this.#dropped.report(text, nodeid),
    });
    if (this.#nodeIp !== undefined) group.encodeKey(NODE_IP, this.#nodeIp);
    this.#statusGroup = group;
    return this.#machine(self, group);
  }

  /** C logs the same, the second line without a domain of its own. */
  #logReceived(outcome: ReturnType<StatusGroupOptions["log"]["insert"]>): void {
    const { log } = this.#options;
    log.tagged("status").info("received log");
    if (outcome === "duplicate") log.tagged("main").info("ignore insert of duplicate cluster log");
  }

  #machine(self: Member, application: DatabaseGroup | StatusGroup): Dfsm {
    const { members, deadlineMs } = this.#options;
    return new Dfsm({
      self,
      application,
      startedAt: instantNow(),
      nameOf: (id) => members.nameOf(id),
      ...(deadlineMs === undefined ? {} : { deadlineMs }),
    });
  }

  /** Locks of this node whose mtime is after `seconds`: every node refuses to refresh them. */
  #ownLocksAfter(seconds: number): string[] {
    const locks = this.#options.tree.memdb.find(LOCK_DIRECTORY)?.children.values() ?? [];
    return [...locks]
      .filter(({ kind, writer, mtime }) => {
        return kind === "directory" && writer === this.#nodeid && mtime > seconds;
      })
      .map(({ name }) => name);
  }

  /** After a failed write to the database, whether one works now. */
  #databaseWorks(): boolean {
    const group = this.#databaseGroup;
    if (group?.isBroken === true && this.#options.tree.probe()) group.repaired();
    return group?.isBroken !== true;
  }

  /** A sync is about to remove guests or many entries here: keeps a copy of the database first. */
  *#overruled(plan: OverruledBy): Steps {
    const { tree, log } = this.#options;
    const leader = this.#nodeText(plan.leader);
    const copy = yield* tree.storage.keepCopy("overruled");
    const kept =
      "path" in copy
        ? `the database as it was: ${copy.path}`
        : `no copy of the database could be kept: ${copy.problem}`;
    log.tagged("dcdb").warn(`${overruledText(plan, leader)}; ${kept}`);
  }

  #nodeText(member: Member): string {
    return this.#options.members.nameOf(member.nodeid) ?? memberText(member);
  }
}

function overruledText({ deleted, added, changed, guests }: OverruledBy, leader: string): string {
  const gone = guests.length === 0 ? "" : `; guests that are gone: ${guests.join(", ")}`;
  return (
    `this node's tree is replaced by that of ${leader}, which has a higher version: ` +
    `${counted(deleted, "entry")} deleted, ${added} added, ${changed} changed${gone}`
  );
}
