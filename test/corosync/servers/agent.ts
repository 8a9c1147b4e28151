/**
 * Runs inside a node of a test cluster and uses its corosync through our library. Reads commands
 * from stdin and writes results and events to stdout, one JSON object per line.
 */
import { CpgRequestId, CpgJoinRequest, CpgMcastRequest } from "../../../src/corosync/layouts.ts";
import { encode } from "../../../src/wire/struct.ts";
import * as library from "../../../src/index.ts";
import { say, serveCommands } from "../support/json-commands.ts";
import type { Command, CommandOf } from "../support/agent.ts";

const groups = new Map<string, library.CpgGroup>();
let quorum: library.Quorum | undefined;
let cmap: library.Cmap | undefined;

/** A message in an event: as text if it is short, else its size and digest. */
function shown(message: Buffer): object {
  if (message.byteLength <= 256) return { text: message.toString("latin1") };
  const head = message.toString("latin1", 0, 256);
  return { size: message.byteLength, hash: Bun.hash(message).toString(16), head };
}

function ended(service: string): (failure: library.CsFailure) => void {
  return ({ error, message }) => say({ event: "ended", service, error, message });
}

async function connectGroup(group: string, slowMs: number): Promise<unknown> {
  groups.get(group)?.close();
  const connected = await library.CpgGroup.connect(group, {
    deliver: async (from, message) => {
      say({ event: "deliver", group, from, ...shown(message) });
      if (slowMs === 0) return;
      await Bun.sleep(slowMs);
      say({ event: "done", group, ...shown(message) });
    },
    confchg: async (change) => {
      // Answered when the change is complete; quorum's own event has then arrived.
      await quorum?.quorate();
      quorum?.drain();
      say({ event: "confchg", group, ...change });
    },
    dropped: (why) => say({ event: "dropped", group, why }),
    ended: ended("cpg"),
  });
  if (connected instanceof library.CsFailure) return { failure: connected.error };
  groups.set(group, connected);
  return { nodeid: connected.nodeid, pid: connected.pid };
}

function groupOf(name: string): library.CpgGroup {
  const group = groups.get(name);
  if (group === undefined) throw new Error(`not connected for ${name}`);
  return group;
}

async function mcast(group: library.CpgGroup, bytes: Buffer): Promise<unknown> {
  let retries = 0;
  for (;;) {
    const error = group.mcast(bytes);
    if (error !== library.CsError.TRY_AGAIN) return error;
    if (++retries > 5000) return error;
    await Bun.sleep(1);
  }
}

/** Multicasts `text 0`, `text 1`, ...; returns how often corosync answered TRY_AGAIN. */
async function flood(group: library.CpgGroup, text: string, count: number): Promise<unknown> {
  let refused = 0;
  for (let at = 0; at < count;) {
    const error = group.mcast(Buffer.from(`${text} ${at}`));
    if (error === library.CsError.OK) at++;
    else if (error !== library.CsError.TRY_AGAIN) return { error };
    else {
      refused++;
      await Bun.sleep(1);
    }
  }
  return { refused };
}

/** Joins, and multicasts without a pause until notify bytes are owed. */
async function owe(most: number, stops: boolean): Promise<unknown> {
  const client = await library.Client.connect("cpg", {
    responses: "order",
    maxMessageBytes: 1024 * 1024,
  });
  if (client instanceof library.ClientFailure) return { failure: String(client) };
  const name = { groupLength: 3, groupName: Buffer.from("owe") };
  await client.sendRecv(
    CpgRequestId.JOIN,
    encode(CpgJoinRequest, { ...name, pid: process.pid, flags: 0 }),
  );
  const body = encode(CpgMcastRequest, { unused: 0n, guarantee: 2, messageBytes: 0 });
  let owed = 0;
  for (let sent = 0; sent < most && owed < 100; sent++) {
    if (client.send(CpgRequestId.MCAST, body) !== undefined) break;
    owed = client.unsentNotifies;
  }
  // Stopped before the timer that sends them runs.
  if (stops) process.kill(process.pid, "SIGSTOP");
  return { owed };
}

async function values(prefix: string): Promise<unknown> {
  const keys = await cmap?.keys(prefix);
  if (keys === undefined || typeof keys === "number") return keys;
  const found: Record<string, unknown> = {};
  for (const key of keys) {
    const value = await cmap?.get(key);
    found[key] = typeof value === "object" ? String(value.value) : value;
  }
  return found;
}

async function trackQuorum(): Promise<unknown> {
  const connected = await library.Quorum.connect({
    changed: ({ quorate, nodes }) => say({ event: "quorum", quorate, nodes }),
    ended: ended("quorum"),
  });
  if (connected instanceof library.CsFailure) return { failure: connected.error };
  quorum = connected;
  const provider = await connected.hasProvider();
  const track = await connected.track();
  return { provider, track, quorate: await connected.quorate() };
}

async function connectCmap(statistics: boolean): Promise<unknown> {
  const callbacks: library.CmapCallbacks = {
    changed: ({ key, what, value }) =>
      say({ event: "cmap", key, what, value: value === undefined ? null : String(value.value) }),
    ended: ended("cmap"),
  };
  const connected = statistics
    ? await library.Cmap.statistics()
    : await library.Cmap.connect(callbacks);
  if (connected instanceof library.CsFailure) return { failure: connected.error };
  cmap = connected;
  return {};
}

const operations: { [K in Command["op"]]: (command: CommandOf<K>) => unknown } = {
  connect: ({ group, slowMs }) => connectGroup(group, slowMs ?? 0),
  join: ({ group }) => groupOf(group).join(),
  leave: ({ group }) => groupOf(group).leave(),
  members: ({ group }) => groupOf(group).members(),
  finalize: ({ group }) => groupOf(group).finalize(),
  mcast: ({ group, text }) => mcast(groupOf(group), Buffer.from(text, "latin1")),
  flood: ({ group, text, count }) => flood(groupOf(group), text, count),
  large: ({ group, text, size }) => groupOf(group).mcastFragments(Buffer.alloc(size, text)),
  owe: ({ most, stops }) => owe(most, stops ?? false),
  quorum: trackQuorum,
  cmap: ({ statistics }) => connectCmap(statistics ?? false),
  values: ({ prefix }) => values(prefix),
  track: ({ prefix, what }) => cmap?.track(prefix, what),
};

function perform<K extends Command["op"]>(op: K, command: CommandOf<K>): unknown {
  return operations[op](command);
}

await serveCommands((command: Command) => perform(command.op, command));
