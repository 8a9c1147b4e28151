/**
 * The settings of a service and their defaults: those of limits.ts, and what this host has room
 * for.
 */
import { readFileSync, statfsSync } from "node:fs";
import { IpcLimits, PollLimits, PVE_MESSAGE_BYTES } from "../base/limits.ts";
import { createLog, defaultFormat, type Log } from "../base/log.ts";
import { SHM } from "../shm/ring-directory.ts";
import { connectionBytes, MAPPINGS_PER_CONNECTION } from "../shm/ring-set.ts";
import { raiseDescriptorLimit } from "../platform/files.ts";
import type { PollSettings } from "./scheduling/ring-poller.ts";

/** The kernel's default of vm.max_map_count. */
const USUAL_MAPPINGS = 65_530;

/** Pending handshakes of each kind may take at most this part of RLIMIT_NOFILE. */
const HANDSHAKE_SHARE = 1 / 8;

/** Everything a service needs to know besides its name and handler. */
export interface ServiceSettings {
  readonly log: Log;
  readonly backlog: number;
  /** Connections at once, without root's reserve. */
  readonly connections: number;
  readonly connectionsPerUid: number;
  readonly rootReserve: number;
  /** Bytes of /dev/shm for the rings of one uid other than root. */
  readonly shmBytesPerUid: number;
  /** Bytes of /dev/shm reserved for root's connections. */
  readonly shmRootReserveBytes: number;
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
  /** Rings mapped at once, with those of ended connections that are not removed yet. */
  readonly mappedRings: number;
  readonly poll: PollSettings;
}

/**
 * Settings a caller may give. `connections` and `shmBytesPerUid`: 0, the default, means as much as
 * this host allows. `log`: by default, lines go to stderr.
 */
export type ServiceOptions = Partial<Omit<ServiceSettings, "poll">> & {
  readonly poll?: Partial<PollSettings>;
};

/** Size of /dev/shm and its free space, in bytes; Infinity when unknown. */
export function shmSpace(): { readonly sizeBytes: number; readonly freeBytes: number } {
  try {
    const { blocks, bavail, bsize } = statfsSync(SHM);
    // A tmpfs without a size limit reports 0.
    if (blocks === 0) return { sizeBytes: Infinity, freeBytes: Infinity };
    return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    // openShm reports the problem.
    return { sizeBytes: Infinity, freeBytes: Infinity };
  }
}

/** How many connections a service may have. */
export interface Capacity {
  /** By descriptors, mappings and settings, for rings of any size. */
  readonly connections: number;
  /** By the size of /dev/shm, for clients that ask for messages of PVE_MESSAGE_BYTES (1 MiB). */
  readonly byShm: number;
  readonly shmBytes: number;
}

/** What a service with these settings has room for. */
export function capacityOf({ connections, shmRootReserveBytes }: ServiceSettings): Capacity {
  const { sizeBytes } = shmSpace();
  const usable = sizeBytes - shmRootReserveBytes;
  const byShm = Math.floor(usable / connectionBytes(PVE_MESSAGE_BYTES));
  return { connections, byShm, shmBytes: sizeBytes };
}

/** Mappings this process may have (vm.max_map_count); the runtime aborts when none are left. */
function mappingLimit(): number {
  try {
    return Number.parseInt(readFileSync("/proc/sys/vm/max_map_count", "latin1"), 10);
  } catch {
    return USUAL_MAPPINGS;
  }
}

/** The directory of a connection, and its six files. */
const INODES_PER_CONNECTION = 7;

/** Connections that /dev/shm has inodes for, without those of the pool and of root. */
function roomByInodes({ pooledRings, rootReserve }: ServiceSettings): number {
  try {
    const { files } = statfsSync(SHM);
    // A tmpfs without an inode limit reports 0.
    if (files === 0) return Infinity;
    return files / INODES_PER_CONNECTION - pooledRings - rootReserve - 1;
  } catch {
    return Infinity;
  }
}

/** Connections whose rings may be mapped at once, of root's reserve, too. */
function roomByMappings(): number {
  return Math.floor((mappingLimit() - IpcLimits.reservedMappings) / MAPPINGS_PER_CONNECTION);
}

/** Connections that the descriptors and mappings of this process, and /dev/shm, allow. */
function roomForConnections(settings: ServiceSettings, descriptors: number): number {
  const { pendingHandshakes, unwantedHandshakes, rootReserve, minMessageBytes } = settings;
  const reserved = IpcLimits.reservedDescriptors + pendingHandshakes + unwantedHandshakes;
  const byDescriptors = (descriptors - reserved) / IpcLimits.descriptorsPerConnection;
  const byMappings = roomByMappings() - rootReserve;
  const byMemory = shmSpace().sizeBytes / connectionBytes(minMessageBytes);
  return Math.max(
    1,
    Math.floor(Math.min(byDescriptors, byMappings, byMemory, roomByInodes(settings))),
  );
}

/** Bytes of /dev/shm for one uid, and those reserved for root: as given, or the defaults. */
function shmBounds(settings: ServiceSettings): Partial<ServiceSettings> {
  const { sizeBytes } = shmSpace();
  const forRoot = settings.rootReserve * connectionBytes(PVE_MESSAGE_BYTES);
  return {
    shmBytesPerUid: settings.shmBytesPerUid || sizeBytes * IpcLimits.shmShareOfUid,
    shmRootReserveBytes:
      settings.shmRootReserveBytes || Math.min(forRoot, sizeBytes * IpcLimits.shmShareForRoot),
  };
}

/** The settings of a service: those given, and defaults that fit this host. */
export function settingsOf(options: ServiceOptions): ServiceSettings {
  const { poll, ...given } = options;
  const settings: ServiceSettings = {
    ...IpcLimits,
    log: given.log ?? createLog({ level: "info", format: defaultFormat(process.env) }),
    connections: 0,
    mappedRings: roomByMappings() + (given.pooledRings ?? IpcLimits.pooledRings),
    shmBytesPerUid: 0,
    shmRootReserveBytes: 0,
    ...given,
    poll: { ...PollLimits, ...poll },
  };
  const descriptors = raiseDescriptorLimit();
  const share = Math.max(1, Math.floor(descriptors * HANDSHAKE_SHARE));
  const bounded = {
    ...settings,
    ...shmBounds(settings),
    pendingHandshakes: Math.min(settings.pendingHandshakes, share),
    unwantedHandshakes: Math.min(settings.unwantedHandshakes, share),
  };
  const room = roomForConnections(bounded, descriptors);
  return { ...bounded, connections: Math.min(settings.connections || room, room) };
}
