/** What a service can be told, and what it does when it is not: limits.ts, and this machine. */
import { readFileSync, statfsSync } from "node:fs";
import { IpcLimits, PollLimits } from "../base/limits.ts";
import { type Log, silentLog } from "../base/log.ts";
import { SHM } from "../shm/ring-directory.ts";
import { connectionBytes, MAPPINGS_PER_CONNECTION } from "../shm/ring-set.ts";
import { raiseDescriptorLimit } from "../platform/files.ts";
import type { PollSettings } from "./scheduling/ring-poller.ts";

/** vm.max_map_count where nobody changed it. */
const USUAL_MAPPINGS = 65_530;

/** Handshakes may take this part of a small RLIMIT_NOFILE. */
const HANDSHAKE_SHARE = 1 / 8;

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
  readonly acceptsPerTurn: number;
  readonly setUpMsPerTurn: number;
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

/** The size of /dev/shm, in connections that ask for the least; their rings may fill it up. */
function roomInMemory(minMessageBytes: number): number {
  try {
    const { blocks, bsize } = statfsSync(SHM);
    return Math.floor((blocks * bsize) / connectionBytes(minMessageBytes));
  } catch {
    // Opening /dev/shm reports what is wrong with it.
    return Infinity;
  }
}

/** Mappings this process may have (vm.max_map_count); running out of them ends it. */
function mappingLimit(): number {
  try {
    return Number.parseInt(readFileSync("/proc/sys/vm/max_map_count", "latin1"), 10);
  } catch {
    return USUAL_MAPPINGS;
  }
}

/** Connections this process can hold: by its descriptors, mappings and /dev/shm. */
function roomForConnections(settings: ServiceSettings, descriptors: number): number {
  const { pendingHandshakes, unwantedHandshakes, rootReserve, minMessageBytes } = settings;
  const reserved = IpcLimits.reservedDescriptors + pendingHandshakes + unwantedHandshakes;
  const byDescriptors = (descriptors - reserved) / IpcLimits.descriptorsPerConnection;
  const mappings = mappingLimit() - IpcLimits.reservedMappings;
  const byMappings = mappings / MAPPINGS_PER_CONNECTION - rootReserve;
  const byMemory = roomInMemory(minMessageBytes);
  return Math.max(1, Math.floor(Math.min(byDescriptors, byMappings, byMemory)));
}

/** Fills what `options` leaves out with the defaults of base/limits.ts. */
export function settingsOf(options: ServiceOptions): ServiceSettings {
  const { poll, ...given } = options;
  const settings: ServiceSettings = {
    ...IpcLimits,
    log: silentLog,
    connections: 0,
    ...given,
    poll: { ...PollLimits, ...poll },
  };
  const descriptors = raiseDescriptorLimit();
  const share = Math.max(1, Math.floor(descriptors * HANDSHAKE_SHARE));
  const bounded = {
    ...settings,
    pendingHandshakes: Math.min(settings.pendingHandshakes, share),
    unwantedHandshakes: Math.min(settings.unwantedHandshakes, share),
  };
  const room = roomForConnections(bounded, descriptors);
  return { ...bounded, connections: Math.min(settings.connections || room, room) };
}
