/**
 * Log lines of a group in the words and the spelling of the C server (`dfsm.c`, `dcdb.c`), since
 * people search for them and programs match them. What a line of ours says beyond that follows
 * C's words.
 */
import { memberText, membersText, Mode, type LeaveReason, type Member } from "./events.ts";
import { decodeHeader, Type, type ControlMessage } from "./message.ts";
import type { Peer } from "./roster.ts";

const MODE_LINES: Readonly<Record<Mode, string>> = {
  [Mode.start]: "start cluster connection",
  [Mode.startSync]: "starting data syncronisation",
  [Mode.synced]: "all data is up to date",
  [Mode.update]: "waiting for updates from leader",
  [Mode.leave]: "leaving CPG group",
  [Mode.versionError]: "detected newer protocol - please update this node",
};

/** This node enters a mode; `reason`: why it leaves, for our documentation. */
export function modeLine(mode: Mode, reason?: LeaveReason): string {
  const line = MODE_LINES[mode];
  return mode === Mode.leave && reason !== undefined ? `${line} (${reason})` : line;
}

/** The leader of a synchronisation, and the members whose data equals that of the leader. */
export function leaderLines(leader: Member | undefined, peers: readonly Peer[]): string[] {
  if (leader === undefined) return [];
  const members = peers.filter(({ synced }) => synced).map(({ member }) => member);
  return [`leader is ${memberText(leader)}`, `synced members: ${membersText(members)}`];
}

/** A queue is about to be delivered. */
export function queueLine(queue: "queue" | "sync_queue", length: number): string {
  return `dfsm_deliver_${queue}: queue length ${length}`;
}

/** A message without a whole header, or without the count or epoch that follows it. */
export function shortLine(message: Buffer): string {
  const header = decodeHeader(message);
  const size = `${message.length} bytes`;
  if (header === undefined) return `received short message (${size})`;
  const { type, subtype } = header;
  const kind = type === Type.normal ? "message" : "state message";
  return `received short ${kind} (type = ${type}, subtype = ${subtype}, ${size})`;
}

/** A message of the protocol that has no place in the present mode. */
export function strayLine({ type, body }: ControlMessage): string {
  return `received unknown state message type (type = ${type}, ${body.length} bytes)`;
}
