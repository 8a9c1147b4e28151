/**
 * The settings of a service, and their defaults: those of limits.ts, and what this machine has room
 * for.
 */
import { readFileSync, statfsSync } from "node:fs";
import { IpcLimits, PollLimits } from "../base/limits.ts";
import { createLog, defaultFormat, type Log } from "../base/log.ts";
import { SHM } from "../shm/ring-directory.ts";
import { connectionBytes, MAPPINGS_PER_CONNECTION } from "../shm/ring-set.ts";
import { raiseDescriptorLimit } from "../platform/files.ts";
import type { PollSettings } from "./scheduling/ring-poller.ts";

/** The kernel's default of vm.max_map_count. */
const USUAL_MAPPINGS = 65_530;

/** Handshakes may take this part of a small RLIMIT_NOFILE. */
const HANDSHAKE_SHARE = 1 / 8;

/**
 * What PVE's clients ask for (IPCC.xs); room in /dev/shm is reported in connections of this size.
 */
const USUAL_MESSAGE_BYTES = 1024 * 1024;

/** Everything a service needs to know besides its name and handler. */
export interface ServiceSettings {
  readonly log: Log;
  readonly backlog: number;
  /** Connections at once, root's reserve not counted. */
  readonly connections: number;
  readonly connectionsPerUid: number;
  readonly rootReserve: number;
  /** Bytes of /dev/shm for the rings of one uid other than root. */
  readonly shmBytesPerUid: number;
  /** Bytes of /dev/shm kept for root's connections. */
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
  readonly poll: PollSettings;
}

/**
 * Settings a caller may give. `connections` and `shmBytesPerUid`: 0, the default, is as much as
 * this machine allows. `log`: lines go to stderr unless given.
 */
export type ServiceOptions = Partial<Omit<ServiceSettings, "poll">> & {
  readonly poll?: Partial<PollSettings>;
};

/** Size of /dev/shm and what is free of it, in bytes; Infinity when unknown. */
export function shmSpace(): { readonly sizeBytes: number; readonly freeBytes: number } {
  try {
    const { blocks, bavail, bsize } = statfsSync(SHM);
    // A tmpfs without a limit has no size.
    if (blocks === 0) return { sizeBytes: Infinity, freeBytes: Infinity };
    return { sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    // Opening /dev/shm reports the problem.
    return { sizeBytes: Infinity, freeBytes: Infinity };
  }
}

/** How many connections a service may have. */
export interface Capacity {
  /** By descriptors, mappings and settings, whatever the size of the rings. */
  readonly connections: number;
  /** By the size of /dev/shm, for clients that ask for messages of 1 MiB. */
  readonly byShm: number;
  readonly shmBytes: number;
}

/** What a service with these settings has room for. */
export function capacityOf({ connections, shmRootReserveBytes }: ServiceSettings): Capacity {
  const { sizeBytes } = shmSpace();
  const usable = sizeBytes - shmRootReserveBytes;
  const byShm = Math.floor(usable / connectionBytes(USUAL_MESSAGE_BYTES));
  return { connections, byShm, shmBytes: sizeBytes };
}

/** Mappings this process may have (vm.max_map_count); running out of them ends it. */
function mappingLimit(): number {
  try {
    return Number.parseInt(readFileSync("/proc/sys/vm/max_map_count", "latin1"), 10);
  } catch {
    return USUAL_MAPPINGS;
  }
}

/** A connection's directory and six files. */
const INODES_PER_CONNECTION = 7;

/** Connections that /dev/shm has inodes for, besides the pool's and root's. */
function roomByInodes({ pooledRings, rootReserve }: ServiceSettings): number {
  try {
    const { files } = statfsSync(SHM);
    // A tmpfs without a limit has no number.
    if (files === 0) return Infinity;
    return files / INODES_PER_CONNECTION - pooledRings - rootReserve - 1;
  } catch {
    return Infinity;
  }
}

/** Connections this process can hold: by its descriptors, mappings and /dev/shm. */
function roomForConnections(settings: ServiceSettings, descriptors: number): number {
  const { pendingHandshakes, unwantedHandshakes, rootReserve, minMessageBytes } = settings;
  const reserved = IpcLimits.reservedDescriptors + pendingHandshakes + unwantedHandshakes;
  const byDescriptors = (descriptors - reserved) / IpcLimits.descriptorsPerConnection;
  const mappings = mappingLimit() - IpcLimits.reservedMappings;
  const byMappings = mappings / MAPPINGS_PER_CONNECTION - rootReserve;
  const byMemory = shmSpace().sizeBytes / connectionBytes(minMessageBytes);
  return Math.max(
    1,
    Math.floor(Math.min(byDescriptors, byMappings, byMemory, roomByInodes(settings))),
  );
}

/** Bytes of /dev/shm for one uid and for root alone, where the caller gave none. */
function shmBounds(settings: ServiceSettings): Partial<ServiceSettings> {
  const { sizeBytes } = shmSpace();
  const forRoot = settings.rootReserve * connectionBytes(USUAL_MESSAGE_BYTES);
  return {
    shmBytesPerUid: settings.shmBytesPerUid || sizeBytes * IpcLimits.shmShareOfUid,
    shmRootReserveBytes:
      settings.shmRootReserveBytes || Math.min(forRoot, sizeBytes * IpcLimits.shmShareForRoot),
  };
}

/** The settings of a service: what was given, and defaults that fit this machine. */
export function settingsOf(options: ServiceOptions): ServiceSettings {
  const { poll, ...given } = options;
  const settings: ServiceSettings = {
    ...IpcLimits,
    log: given.log ?? createLog({ level: "info", format: defaultFormat(process.env) }),
    connections: 0,
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
