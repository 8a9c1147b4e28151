/**
 * The target of cases: one service, its profile (found by sending it requests), and the needs of
 * cases that it does not meet. A service that the runner started can be stopped and started again.
 */
import { readdirSync } from "node:fs";
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import { SHM } from "../../shm/ring-directory.ts";
import type { Need, Profile } from "./case.ts";
import { ControlId, u32Bytes } from "./cases/control.ts";
import type { ServerProcess } from "./server-process.ts";

const ANSWER_MS = 10_000;
/** Wait for an event; a service that sends none within it counts as an echo. */
const EVENT_MS = 1000;
/** An id that pmxcfs does not use; an echo answers it with the body. */
const UNUSED_ID = 9;

/** A service under test. */
export interface Target {
  readonly name: string;
  readonly profile: Profile;
  /** The needs of cases that it does not meet, with the reasons. */
  readonly missing: ReadonlyMap<Need, string>;
  /** The server's pid, which a restart changes. */
  readonly pid: () => number;
  /** Its process, if the runner started it. */
  readonly server: ServerProcess | undefined;
}

/** The profile of the service that `client` is connected to. */
async function profileOf(client: QbClient): Promise<Profile | QbFailure> {
  const options = { timeoutMs: ANSWER_MS };
  const word = Buffer.from("compat");
  const echoed = await client.sendRecv(UNUSED_ID, word, options);
  if (echoed instanceof QbFailure) return unlessLate(echoed);
  if (echoed.error === 0 && echoed.body.equals(word)) {
    await client.sendRecv(ControlId.EVENTS, u32Bytes(1), options);
    const event = await client.receiveEvent({ timeoutMs: EVENT_MS });
    return event instanceof QbFailure ? "echo" : "control";
  }
  const version = await client.sendRecv(1, undefined, options);
  if (version instanceof QbFailure) return unlessLate(version);
  // Also if it answered the unused id with another errno: the cases about that must fail.
  return version.body.includes('"starttime"') ? "pmxcfs" : "other";
}

/** A server that answers wrongly is of kind `other`; one that does not answer is no target. */
function unlessLate(failure: QbFailure): "other" | QbFailure {
  return failure.kind === "timeout" ? failure : "other";
}

/** Names of a client's ring directories in /dev/shm. */
export function ringsOf(serverPid: number, clientPid: number): string[] {
  return readdirSync(SHM).filter((name) => name.startsWith(`qb-${serverPid}-${clientPid}-`));
}

/** Options of `examine`, besides the name. */
export interface TargetOptions {
  readonly server?: ServerProcess;
  /** The profile, if the runner started the service with its own files. */
  readonly own?: Profile;
  /** The user allows writes to a service the runner did not start. */
  readonly writes?: boolean;
}

/** Examines service `name`, which must be up; a failure if it does not accept or answer. */
export async function examine(name: string, options: TargetOptions): Promise<Target | QbFailure> {
  const client = await QbClient.connect(name, { timeoutMs: ANSWER_MS });
  if (client instanceof QbFailure) return client;
  const hasRings = ringsOf(client.server.pid, process.pid).length > 0;
  const profile = options.own ?? (await profileOf(client));
  client.close();
  if (profile instanceof QbFailure) return profile;
  const missing = new Map<Need, string>();
  const { server, own, writes = false } = options;
  if (own === undefined) missing.set("fixtures", "needs the runner's own files");
  if (!writes && server === undefined) {
    missing.set("writes", "would write to a running service (--writes allows it)");
  }
  if (server === undefined) missing.set("restart", "the runner did not start this service");
  if (!hasRings) missing.set("rings", "its ring files are not in this /dev/shm");
  if (process.getuid?.() !== 0) missing.set("root", "only root can become other users");
  const { pid } = client.server;
  return { name, profile, missing, server, pid: () => server?.servingPid ?? pid };
}
