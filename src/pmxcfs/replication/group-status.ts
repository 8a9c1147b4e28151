/**
 * A group's status for administrators: the members, which of them are synced, and which of them an
 * unfinished synchronisation waits for.
 */
import { memberText, Mode, type Instant, type Member } from "./events.ts";
import type { Epoch } from "./message.ts";
import type { Roster } from "./roster.ts";
import type { SendingStatus } from "./sending.ts";

/** What waits until all states have arrived, in the mode START_SYNC of a group. */
export const WHILE_SYNCING = {
  dcdb: "no write of any node is answered",
  status: "status values and log entries of all nodes wait",
} as const;

/** What waits in UPDATE, a mode of the database group: members in step are SYNCED by then. */
export const WHILE_UPDATING = "no write of this node is answered";

/** The machine's state, from which the status is made. */
export interface GroupFacts {
  readonly mode: Mode;
  readonly modeSince: number;
  /** When this mode began, also if synchronisations have begun anew in it. */
  readonly sameModeSince: number;
  readonly epoch: Epoch;
  readonly roster: Roster;
  /** Messages and bytes that wait for the synchronisation to end. */
  readonly queued: number;
  readonly queuedBytes: number;
}

/** A member from which a synchronisation waits for a message. */
export interface SilentMember extends Member {
  /** For how many ms, also through synchronisations that others began anew. */
  readonly silentMs: number;
}

export interface GroupStatus {
  readonly mode: Mode;
  /** Milliseconds in this mode. */
  readonly modeMs: number;
  readonly epoch: Epoch;
  readonly lowest: number;
  readonly leader: Member | undefined;
  /** UPDATEs received in this synchronisation, their bytes, and those of the largest. */
  readonly updates: number;
  readonly updateBytes: number;
  readonly largestUpdate: number;
  readonly members: readonly {
    readonly nodeid: number;
    readonly pid: number;
    readonly synced: boolean;
    /** Bytes of its STATE of this synchronisation; undefined until it has arrived. */
    readonly stateBytes: number | undefined;
    /** Its clock minus ours, in seconds; undefined before its first message. */
    readonly clockSeconds: number | undefined;
  }[];
  readonly missing: readonly SilentMember[];
  readonly queued: number;
  readonly queuedBytes: number;
  readonly sending: SendingStatus;
}

/** Members whose messages would end the present phase of the synchronisation. */
function missingMembers({ mode, roster }: GroupFacts): Member[] {
  const { leader, peers, lowest, syncStarted } = roster;
  if (mode === Mode.update) return leader === undefined ? [] : [leader];
  if (mode !== Mode.startSync) return [];
  const silent = syncStarted
    ? peers.filter(({ state }) => state === undefined)
    : peers.filter(({ member }) => member.nodeid === lowest);
  return silent.map(({ member }) => member);
}

/** Milliseconds of a synchronisation until its first log line, and between lines. */
const FIRST_LINE_MS = 5000;
const LINE_MS = 10_000;

/** A member that was missing at each look. */
interface Silent {
  readonly since: number;
  nextAt: number;
}

/**
 * Makes log lines about a stalled synchronisation: which member it waits for, and how long, also
 * through synchronisations that others begin anew by leaving and joining.
 */
export class StallReport {
  readonly #consequence: string;
  readonly #nameOf: (nodeid: number) => string | undefined;
  #view: ReadonlySet<number> | undefined;
  /** By member. */
  #silent: ReadonlyMap<string, Silent> = new Map();

  /** `consequence`: what waits meanwhile, as in `no write is answered`. */
  constructor(consequence: string, nameOf?: (nodeid: number) => string | undefined) {
    this.#consequence = consequence;
    this.#nameOf = nameOf ?? (() => undefined);
  }

  quorumView(nodeids: readonly number[]): void {
    this.#view = new Set(nodeids);
  }

  /** Log lines that are due now. To be called once a second. */
  lines(facts: GroupFacts, at: Instant): string[] {
    const silent = new Map<string, Silent>();
    const due: string[] = [];
    for (const member of missingMembers(facts)) {
      const known = this.#silence(facts, member);
      silent.set(memberText(member), known);
      if (at.ms < known.nextAt) continue;
      known.nextAt = at.ms + LINE_MS;
      due.push(this.#line(member, Math.floor((at.ms - known.since) / 1000), facts));
    }
    this.#silent = silent;
    return due;
  }

  /** The members that are awaited now. */
  missing(facts: GroupFacts, at: Instant): SilentMember[] {
    return missingMembers(facts).map((member) => {
      const { since } = this.#silence(facts, member);
      return { nodeid: member.nodeid, pid: member.pid, silentMs: at.ms - since };
    });
  }

  /** Since when a member is missing. A new mode begins when those awaited before have answered. */
  #silence({ modeSince: since, sameModeSince }: GroupFacts, member: Member): Silent {
    const known = this.#silent.get(memberText(member));
    if (known !== undefined && known.since >= sameModeSince) return known;
    return { since, nextAt: since + FIRST_LINE_MS };
  }

  #line(member: Member, seconds: number, facts: GroupFacts): string {
    const name = this.#nameOf(member.nodeid);
    const node = `${memberText(member)}${name === undefined ? "" : ` (node ${name})`}`;
    const head = `has waited ${seconds} s for ${awaited(facts)} of ${node}`;
    if (this.#view?.has(member.nodeid) === false) {
      return (
        `${head}: quorum does not have that node, so its process is a ghost in the group. ` +
        "Restart corosync on the remaining members, one at a time"
      );
    }
    const waits = facts.mode === Mode.update ? WHILE_UPDATING : this.#consequence;
    return `${head}: until it arrives, ${waits}`;
  }
}

function awaited({ mode, roster }: GroupFacts): string {
  const { syncStarted, updates, updateBytes } = roster;
  if (mode === Mode.update) {
    return `the updates (${updates} so far, ${Math.ceil(updateBytes / 1024)} KiB)`;
  }
  return syncStarted ? "the state" : "the sync request";
}

/** What `cluster status` shows of a group. */
export function describeStatus(
  facts: GroupFacts,
  sending: SendingStatus,
  missing: readonly SilentMember[],
  at: Instant,
): GroupStatus {
  const { mode, modeSince, epoch, roster, queued, queuedBytes } = facts;
  const { lowest, leader, updates, updateBytes, largestUpdate } = roster;
  return {
    mode,
    modeMs: at.ms - modeSince,
    epoch,
    lowest,
    leader,
    updates,
    updateBytes,
    largestUpdate,
    missing,
    members: roster.peers.map(({ member: { nodeid, pid }, synced, stateBytes, clock }) => ({
      nodeid,
      pid,
      synced,
      stateBytes,
      clockSeconds: clock.seconds,
    })),
    queued,
    queuedBytes,
    sending,
  };
}
