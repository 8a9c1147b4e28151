// One node during a replay: its database, which survives its processes, and the running process
// with its two groups, keys and log.
import { DatabaseGroup } from "../../../src/pmxcfs/replication/dcdb.ts";
import type { Instant, Member } from "../../../src/pmxcfs/replication/events.ts";
import {
  decodeControl,
  NO_EPOCH,
  Type,
  type Epoch,
} from "../../../src/pmxcfs/replication/message.ts";
import { StatusGroup } from "../../../src/pmxcfs/replication/status-group.ts";
import { ClusterLog } from "../../../src/pmxcfs/state/cluster-log.ts";
import { append, chain, entryBytes, Field, newBlock } from "../../../src/pmxcfs/state/log-block.ts";
import { Members } from "../../../src/pmxcfs/state/members.ts";
import { Rrd } from "../../../src/pmxcfs/state/rrd-values.ts";
import { Status } from "../../../src/pmxcfs/state/status.ts";
import { Versions } from "../../../src/pmxcfs/state/versions.ts";
import type { MemoryRows } from "../../../src/pmxcfs/store/memory-rows.ts";
import type { TreeStore } from "../../../src/pmxcfs/store/tree-store.ts";
import { differences, importedRows, rebuilt, rowsOf, treeOf } from "./database.ts";
import { GroupReplay, kindOf } from "./group-replay.ts";
import { unhex, type Database, type GroupName, type Trace, type TraceEvent } from "./trace.ts";

const OK = 1;
const TRY_AGAIN = 6;
const LOG = 3;
const STATE_AT = 32;
const BODY_AT = 24;

interface Process {
  readonly self: Member;
  readonly tree: TreeStore;
  readonly database: DatabaseGroup;
  readonly status: Status;
  readonly statusGroup: StatusGroup;
  readonly log: ClusterLog;
  readonly groups: Readonly<Record<GroupName, GroupReplay>>;
}

export class NodeReplay {
  readonly #trace: Trace;
  readonly #id: number;
  readonly #events: readonly TraceEvent[];
  readonly #problems: Record<GroupName | "end", string[]> = { dcdb: [], status: [], end: [] };
  readonly #clock: [us: number, seconds: number][] = [];
  #rows: MemoryRows | undefined;
  #process: Process | undefined;
  #at: Instant = { seconds: 0, ms: 0 };

  constructor(trace: Trace, id: number) {
    this.#trace = trace;
    this.#id = id;
    this.#events = trace.events.filter(({ node }) => node === id);
    const before = trace.before[id];
    if (before !== undefined) this.#rows = rowsOf(before.rows);
    for (const event of this.#events) {
      if (event.event !== "mcast") continue;
      this.#clock.push([event.us, this.#bytes(event).readUInt32LE(8)]);
    }
  }

  /** Differences from the recording, by subject. */
  run(): Readonly<Record<GroupName | "end", readonly string[]>> {
    const [first] = this.#events;
    const startsInside =
      first === undefined || first.event === "quorum-init" || first.event === "init";
    this.#tellTime(0);
    if (!startsInside) this.#resume();
    for (const [index, event] of this.#events.entries()) {
      this.#tellTime(event.us);
      this.#take(event, index);
    }
    this.#finish();
    return this.#problems;
  }

  /** Sets the node's clock, from the times in the messages that it sent. */
  #tellTime(us: number): void {
    const next = this.#clock.find(([at]) => at >= us);
    const last = this.#clock.findLast(([at]) => at <= us);
    const [at, seconds] =
      next !== undefined && next[0] - us < 100_000 ? next : (last ?? next ?? [0, 0]);
    this.#at = { seconds: seconds + Math.trunc((us - at) / 1e6), ms: us / 1000 };
  }

  #bytes({ message }: TraceEvent): Buffer {
    return unhex(this.#trace.messages[message ?? ""]?.hex ?? "");
  }

  #take(event: TraceEvent, index: number): void {
    const { event: kind, pid, group: name } = event;
    if (pid !== undefined && pid !== this.#process?.self.pid) this.#start(pid, index);
    const process = this.#process;
    if (kind === "quorum" && process !== undefined) process.database.quorate = event.quorate === 1;
    const group = name === undefined ? undefined : process?.groups[name];
    // Ignores events of a connection that belongs to neither group.
    if (name === undefined || process === undefined || group === undefined) return;
    if (kind === "join" && event.result === OK)
      group.settle(group.machine.restart(this.#at), this.#at);
    else if (kind === "leave" || kind === "finalize") group.ended();
    else if (kind === "confchg") {
      const [members, left, joined] = [event.members, event.left, event.joined].map((list) =>
        (list ?? []).map(([nodeid, processId]) => ({ nodeid, pid: processId })),
      ) as [Member[], Member[], Member[]];
      group.settle(group.machine.confchg({ members, left, joined }, this.#at), this.#at);
    } else if (kind === "deliver") {
      const [nodeid, processId] = event.from ?? [0, 0];
      const from = { nodeid, pid: processId };
      group.settle(group.machine.deliver(from, this.#bytes(event), this.#at), this.#at);
    } else if (kind === "mcast" && event.result === TRY_AGAIN) group.refused(this.#bytes(event));
    else if (kind === "mcast") this.#sent(process, name, event);
  }

  /** The C server sent a message: one that the machine offered, or a local change. */
  #sent(process: Process, name: GroupName, event: TraceEvent): void {
    const bytes = this.#bytes(event);
    const wanted = process.groups[name].sent(bytes);
    if (wanted || name !== "status" || kindOf(bytes).type !== Type.normal) return;
    const body = bytes.subarray(BODY_AT);
    if (kindOf(bytes).subtype === LOG) {
      process.log.insert(body);
      return;
    }
    const key = body.toString("latin1", 0, body.indexOf(0));
    const value = body.subarray(256);
    process.status.set(key, value);
    process.statusGroup.encodeKey(key, value);
  }

  /** A process that starts inside the recording. */
  #start(pid: number, index: number): void {
    for (const group of Object.values(this.#process?.groups ?? {})) group.ended();
    this.#rows = this.#databaseOf(pid, index) ?? this.#imported();
    this.#process = this.#newProcess(pid, index);
  }

  /** A process that ran before the recording began. */
  #resume(): void {
    const pid = this.#ownPid();
    this.#rows = this.#databaseOf(pid, 0);
    this.#process = this.#newProcess(pid, 0);
    this.#process.database.quorate = true;
    for (const name of ["dcdb", "status"] as const) this.#resumeGroup(name, pid);
  }

  #resumeGroup(name: GroupName, pid: number): void {
    const events = this.#events.filter(({ group }) => group === name);
    const change = events.find(({ event }) => event === "confchg");
    const joined = new Set((change?.joined ?? []).map(([nodeid]) => nodeid));
    const members =
      change === undefined
        ? events.flatMap(({ from }) =>
            from === undefined ? [] : [{ nodeid: from[0], pid: from[1] }],
          )
        : [
            ...(change.members ?? []).filter(([nodeid]) => !joined.has(nodeid)),
            ...(change.left ?? []),
          ].map(([nodeid, processId]) => ({ nodeid, pid: processId }));
    members.push({ nodeid: this.#id, pid });
    const unique = [...new Map(members.map((member) => [member.nodeid, member])).values()];
    const [epoch, counter] = this.#epochBefore(events);
    this.#process?.groups[name].machine.resume(unique, epoch, counter, this.#at);
  }

  /** The epoch at the beginning of the recording, and the number of confchgs before it. */
  #epochBefore(events: readonly TraceEvent[]): [Epoch, number] {
    let changes = 0;
    let epoch: Epoch | undefined;
    for (const event of events) {
      if (event.event === "confchg") changes++;
      if (event.message === undefined) continue;
      const message = decodeControl(this.#bytes(event));
      if (message === undefined || message.type === Type.normal) continue;
      if (changes === 0) epoch ??= message.epoch;
      if (message.type === Type.syncStart && event.event === "mcast") {
        return [epoch ?? NO_EPOCH, message.epoch.counter - changes];
      }
    }
    return [epoch ?? NO_EPOCH, 0];
  }

  /** Pid of the process that ran when the recording began; 0 when no event names it. */
  #ownPid(): number {
    const start = this.#events.find(({ event }) => event === "quorum-init" || event === "init");
    for (const { us, from, members = [], left = [] } of this.#trace.events) {
      if (start !== undefined && us >= start.us) break;
      const own = [from ?? [], ...members, ...left].find(([nodeid]) => nodeid === this.#id);
      if (own?.[1] !== undefined) return own[1];
    }
    return 0;
  }

  #newProcess(pid: number, index: number): Process {
    const self = { nodeid: this.#id, pid };
    const tree = treeOf(this.#rows ?? importedRows(new Uint8Array(0), 0), () => this.#at.seconds);
    const database = new DatabaseGroup({ tree, nodeid: this.#id });
    const name = this.#trace.nodes.find(({ id }) => id === this.#id)?.name ?? "";
    const members = new Members({ nodeName: name, versions: new Versions({ memdb: tree.memdb }) });
    const nodes = this.#trace.nodes.map((node) => ({ id: node.id, name: node.name, votes: 1 }));
    members.update({ clusterName: "trace", configVersion: 1, nodes });
    const status = new Status({ members, rrd: new Rrd() });
    const log = new ClusterLog({ nodeName: name, pid, block: this.#logBefore(pid, index) });
    const ip = this.#addressOf(pid, index);
    const address = () => ip;
    const onMembers = (ids: ReadonlySet<number>) => members.setOnline(ids);
    const statusGroup = new StatusGroup({ self, status, log, onMembers, address });
    const replay = (group: GroupName, application: DatabaseGroup | StatusGroup) =>
      new GroupReplay(self, application, this.#at, {
        left: (reason) => this.#mustLeave(group, reason),
        report: (text) => this.#problem(group, text),
      });
    const groups = { dcdb: replay("dcdb", database), status: replay("status", statusGroup) };
    return { self, tree, database, status, statusGroup, log, groups };
  }

  /**
   * The log before the recording, or before the process's first entry: the entries of its first
   * STATE that are not in the recording.
   */
  #logBefore(pid: number, index: number): Buffer {
    const block = newBlock(131_072);
    const brought = new Set<string>();
    for (const event of this.#events.slice(index)) {
      if (event.pid !== undefined && event.pid !== pid) break;
      if (event.group !== "status" || event.message === undefined) continue;
      const bytes = this.#bytes(event);
      const { type, subtype } = kindOf(bytes);
      if (type === Type.normal && subtype === LOG) brought.add(entryKey(bytes, BODY_AT));
      if (type === Type.state && event.event === "deliver") continue;
      if (type !== Type.state) continue;
      const state = bytes.subarray(STATE_AT);
      for (const at of [...chain(state)].toReversed()) {
        if (brought.has(entryKey(state, at))) continue;
        append(block, state.subarray(at, at + (entryBytes(state, at) ?? 0)));
      }
      break;
    }
    return block;
  }

  /**
   * The database at the start of a process: the one that was left; for a node that is started in
   * the recording, and was changed outside it, the one that its first STATE describes.
   */
  #databaseOf(pid: number, index: number): MemoryRows | undefined {
    const rows = this.#rows;
    const before = this.#trace.before[this.#id];
    const restarts = this.#events.some(({ event }) => event === "quorum-init");
    const state = restarts ? this.#firstIndex(pid, index) : undefined;
    if (rows === undefined || before === undefined || state === undefined) return rows;
    for (const candidate of [rows, rowsOf(before.rows), rebuilt(this.#trace, state)]) {
      const found = candidate && treeOf(candidate, () => 0).index.encode();
      if (found?.equals(state) === true) return candidate;
    }
    return rows;
  }

  /** The index that a process sends before the recording changes its tree. */
  #firstIndex(pid: number, index: number): Buffer | undefined {
    for (const event of this.#events.slice(index)) {
      if (event.pid !== undefined && event.pid !== pid) return undefined;
      if (event.group !== "dcdb" || event.message === undefined) continue;
      const bytes = this.#bytes(event);
      const { type } = kindOf(bytes);
      if (type === Type.normal || type === Type.updateComplete) return undefined;
      if (type === Type.state && event.event === "mcast") return bytes.subarray(STATE_AT);
    }
    return undefined;
  }

  /** The address that a process sends: the one set before the recording, else the node's. */
  #addressOf(pid: number, index: number): string {
    const node = this.#trace.nodes.find(({ id }) => id === this.#id);
    const startsInside = this.#events[index]?.event === "quorum-init";
    for (const event of startsInside ? [] : this.#events.slice(index)) {
      if (event.pid !== undefined && event.pid !== pid) break;
      if (event.event !== "mcast" || event.group !== "status") continue;
      const body = this.#bytes(event).subarray(BODY_AT);
      if (body.toString("latin1", 0, 7) !== "nodeip\0") continue;
      return body.toString("latin1", 256, body.length - 1);
    }
    return node?.ip ?? "";
  }

  /** The database of a node that had none, with the host's corosync.conf imported. */
  #imported(): MemoryRows {
    let mtime = 0;
    for (const event of this.#events) {
      if (event.event !== "mcast" || event.group !== "dcdb") continue;
      const bytes = this.#bytes(event);
      if (kindOf(bytes).type !== Type.state) continue;
      mtime = bytes.readUInt32LE(STATE_AT + 20);
      break;
    }
    const after = this.#after();
    const row = after?.rows.find(([inode]) => inode === 2);
    if (mtime === 0) mtime = row?.[4] ?? 0;
    return importedRows(unhex(row?.[7] ?? ""), mtime);
  }

  #after(): Database | undefined {
    const after = this.#trace.after[this.#id];
    return typeof after === "string" ? this.#trace.before[this.#id] : after;
  }

  #mustLeave(group: GroupName, reason: string): void {
    const leaves = this.#events.some(
      ({ us, event, group: name }) =>
        event === "leave" && name === group && us * 1e-3 >= this.#at.ms,
    );
    if (!leaves) this.#problem(group, `the machine leaves (${reason}), the C server does not`);
  }

  #problem(about: GroupName | "end", text: string): void {
    this.#problems[about].push(`${(this.#at.ms / 1000).toFixed(6)} s: ${text}`);
  }

  /** True when others saw the process leave after its last event. */
  #wasKilled(): boolean {
    const last = this.#events.at(-1)?.us ?? 0;
    const pid = this.#process?.self.pid;
    return this.#trace.events.some(
      ({ us, left = [] }) =>
        us >= last && left.some(([nodeid, gone]) => nodeid === this.#id && gone === pid),
    );
  }

  #finish(): void {
    if (!this.#wasKilled()) {
      for (const group of Object.values(this.#process?.groups ?? {})) group.finish();
    }
    const wanted = this.#after();
    if (wanted === undefined || this.#rows === undefined) return;
    // Compares the database, not memory, which may lack an entry (store/orphan-rows.ts).
    const tree = treeOf(this.#rows, () => 0);
    for (const text of differences(tree, this.#rows, wanted)) this.#problem("end", text);
    const running = this.#process?.tree;
    if (running !== undefined && running.version !== tree.version) {
      this.#problem("end", `memory has version ${running.version}, the database ${tree.version}`);
    }
  }
}

/** uid, time and node digest. */
function entryKey(bytes: Buffer, at: number): string {
  return bytes.toString("latin1", at + Field.uid, at + Field.userDigest);
}
