/** What a service can be told, and what it does when it is not: limits.ts, and this machine. */
import { statfsSync } from "node:fs";
import { IpcLimits, PollLimits } from "../limits.ts";
import { type Log, silentLog } from "../log.ts";
import { SHM } from "../memory/ring-directory.ts";
import { connectionBytes } from "../memory/ring-set.ts";
import { raiseDescriptorLimit } from "../platform/files.ts";
import type { PollSettings } from "./polling.ts";

/** Message size that PVE's clients ask for (IPCC.xs). */
const USUAL_MESSAGE_BYTES = 1024 * 1024;

/** Everything a service needs to know besides its name and handler. */
export interface ServiceSettings {
  readonly log: Log;
  readonly backlog: number;
  /** Connections at once, root's reserve not counted. */
  readonly connections: number;
  readonly connectionsPerUid: number;
  readonly rootReserve: number;
  readonly handshakeTimeoutMs: number;
  readonly pendingHandshakes: number;
  readonly unwantedHandshakes: number;
  readonly minMessageBytes: number;
  readonly maxMessageBytes: number;
  readonly requestsPerTurn: number;
  readonly queuedRequests: number;
  readonly outstandingNotifies: number;
  readonly replyRetryMs: number;
  readonly replyDeadlineMs: number;
  readonly stopDeadlineMs: number;
  readonly pooledRings: number;
  readonly poll: PollSettings;
}

/** Settings a caller may give; `connections: 0` = as many as descriptors and /dev/shm allow. */
export type ServiceOptions = Partial<Omit<ServiceSettings, "poll">> & {
  readonly poll?: Partial<PollSettings>;
};

/** Connections this machine has room for, by descriptors and by the size of /dev/shm. */
function roomForConnections(pending: number): number {
  const descriptors = raiseDescriptorLimit() - IpcLimits.reservedDescriptors - pending;
  const byDescriptors = Math.floor(descriptors / IpcLimits.descriptorsPerConnection);
  let byMemory = byDescriptors;
  try {
    const { blocks, bsize } = statfsSync(SHM);
    byMemory = Math.floor((blocks * bsize) / connectionBytes(USUAL_MESSAGE_BYTES));
  } catch {
    // Opening /dev/shm reports what is wrong with it.
  }
  return Math.max(1, Math.min(byDescriptors, byMemory));
}

export function settingsOf(options: ServiceOptions): ServiceSettings {
  const { poll, ...given } = options;
  const settings: ServiceSettings = {
    ...IpcLimits,
    log: silentLog,
    connections: 0,
    ...given,
    poll: { ...PollLimits, ...poll },
  };
  if (settings.connections > 0) return settings;
  const pending = settings.pendingHandshakes + settings.unwantedHandshakes;
  return { ...settings, connections: roomForConnections(pending) };
}
