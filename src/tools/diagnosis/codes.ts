/**
 * The table of codes: all faults that `--check` can find. A code is stable: scripts, dashboards and
 * `--skip` use it. EFFECTS has the findings that explain others: the verdict is the first cause,
 * and only that finding has a fix.
 */

import { CLUSTER_CODES } from "./codes/cluster.ts";
import type { Code, ValueNames } from "./code.ts";
import { LINK_CODES } from "./codes/links.ts";
import { DATABASE_CODES } from "./codes/database.ts";
import { ACCESS_CODES, LISTENER_CODES } from "./codes/listener.ts";
import { MACHINE_CODES } from "./codes/machine.ts";
import { MEMBER_CODES } from "./codes/members.ts";
import { REQUEST_CODES } from "./codes/requests.ts";

export const CODES = {
  ...LISTENER_CODES,
  ...ACCESS_CODES,
  ...REQUEST_CODES,
  ...MACHINE_CODES,
  ...CLUSTER_CODES,
  ...MEMBER_CODES,
  ...LINK_CODES,
  ...DATABASE_CODES,
} as const satisfies Record<string, Code>;

export type CodeName = keyof typeof CODES;

/** The values for a code's templates; further values are allowed. */
export type CodeValues<C extends CodeName> = Readonly<
  Record<ValueNames<(typeof CODES)[C]>, string | number>
> &
  Readonly<Record<string, string | number>>;

/** True when `word` is a code of the table (`DB_CORRUPT`). */
export function isCode(word: string): word is CodeName {
  return Object.hasOwn(CODES, word);
}

/** The row of a code, without its exact type. */
export function rowOf(code: CodeName): Code {
  return CODES[code];
}

/** Faults with which pmxcfs does not load its database. */
const PREVENTS_LOADING: readonly CodeName[] = [
  "DB_CORRUPT",
  "DB_ENTRY_REFUSED",
  "DB_DUPLICATE_NAME",
  "DB_DUPLICATE_VMID",
  "DB_ORPHAN",
];

/** Faults with which pmxcfs does not start. */
const PREVENTS_START: readonly CodeName[] = [
  "NOT_INSTALLED",
  "DB_READ_ONLY",
  "DB_DISK_LOW",
  "DB_INODES_LOW",
  "GROUP_MISSING",
  "HOSTNAME_LOST",
  "NAME_UNRESOLVED",
  "NAME_LOOPBACK",
  ...PREVENTS_LOADING,
  "DB_LOCKED_BY_OTHER",
  "PVE_DEAD_MOUNT",
  "PVE_NOT_EMPTY",
  "FUSE_MISSING",
  "RUN_FULL",
];

/** Faults with which a server listens and does not answer. */
const PREVENTS_ANSWERS: readonly CodeName[] = ["SERVER_STOPPED", "SERVER_STUCK", "RRDCACHED_HUNG"];

/** Faults with which no client can connect. */
const PREVENTS_CONNECTING: readonly CodeName[] = [
  "SHM_MISSING",
  "SHM_READ_ONLY",
  "SHM_FULL",
  "SHM_INODES_LOW",
];

/** Codes that explain others only as failures: as warnings they are faults to come. */
export const EXPLAINS_AS_FAILURE: ReadonlySet<CodeName> = new Set([
  "DB_DISK_LOW",
  "DB_INODES_LOW",
  // With a server that runs, only its next start is prevented.
  "GROUP_MISSING",
  "NAME_LOOPBACK",
  "NAME_UNRESOLVED",
  "RUN_FULL",
  "SHM_INODES_LOW",
]);

/** Faults with which a server that runs is not reached by its name. */
export const HIDES_LISTENER: readonly CodeName[] = [
  "NETNS_DIFFERS",
  "SOCKET_TAKEN",
  "SOCKET_SHORT_ADDRESS",
  "SOCKET_FILESYSTEM_MISMATCH",
];

/** Symptom -> the codes that explain it if both are found, the most specific first. */
export const EFFECTS: Readonly<Partial<Record<CodeName, readonly CodeName[]>>> = {
  SOCKET_ABSENT: [
    ...PREVENTS_START,
    ...HIDES_LISTENER,
    "DB_NOT_PMXCFS",
    "LOG_ERROR",
    "UNIT_FAILED",
    "UNIT_MASKED",
    "UNIT_SKIPPED",
    "UNIT_INACTIVE",
    "UNIT_STARTING",
    "PVE_WITHOUT_SERVER",
  ],
  LOG_ERROR: PREVENTS_START,
  UNIT_FAILED: [...PREVENTS_START, "LOG_ERROR"],
  UNIT_INACTIVE: [...PREVENTS_START, "DB_NOT_PMXCFS"],
  UNIT_STARTING: [...PREVENTS_START, "LOG_ERROR"],
  PVE_WITHOUT_SERVER: ["NETNS_DIFFERS", "SOCKET_TAKEN", "SOCKET_SHORT_ADDRESS"],
  PVE_NOT_MOUNTED: ["FUSE_MISSING", "PVE_NOT_EMPTY"],
  RESTART_FLAG: ["SOCKET_ABSENT"],
  DB_LOCKED_BY_OTHER: ["SOCKET_TAKEN", "SERVER_TWICE"],
  // Some file systems make inodes of free space.
  DB_INODES_LOW: ["DB_DISK_LOW"],
  HOSTNAME_LOST: ["NODENAME_DIFFERS"],
  NODE_DIRECTORY_MISSING: ["NODENAME_DIFFERS", "HOSTNAME_LOST", "DB_NOT_PMXCFS"],
  HANDSHAKE_HUNG: [...PREVENTS_ANSWERS, "SOCKET_TAKEN"],
  REQUEST_HUNG: [...PREVENTS_ANSWERS, "SOCKET_TAKEN"],
  QUEUE_WAITING: [...PREVENTS_ANSWERS, "REQUEST_HUNG"],
  PVE_HUNG: PREVENTS_ANSWERS,
  PVE_SLOW: PREVENTS_ANSWERS,
  LATENCY_HIGH: ["MEMORY_PRESSURE"],
  ACCESS_REFUSED_UID: ["USER_NAMESPACE"],
  ACCESS_REFUSED_GID: ["USER_NAMESPACE"],
  SHM_FULL_FOR_CLIENT: PREVENTS_CONNECTING,
  HANDSHAKE_ERROR: [...PREVENTS_CONNECTING, "DESCRIPTORS_LOW", "SOCKET_TAKEN"],
  HANDSHAKE_CLOSED: [...PREVENTS_CONNECTING, "DESCRIPTORS_LOW", "SOCKET_TAKEN"],
  HANDSHAKE_GARBAGE: ["SOCKET_TAKEN"],
  RINGS_NOT_OPENABLE: ["USER_NAMESPACE", ...PREVENTS_CONNECTING],
  WWW_DATA_FAILS: [...PREVENTS_CONNECTING, "SOCKET_TAKEN"],
  SHM_FULL: ["SHM_STALE"],
  SHM_LOW: ["SHM_STALE"],
  PVE_READ_ONLY: ["COROSYNC_UNREACHABLE", "NO_QUORUM"],
  NO_QUORUM: ["COROSYNC_UNREACHABLE", "LARGE_MESSAGES_LOST"],
  MEMBERS_OFFLINE: ["COROSYNC_UNREACHABLE", "LARGE_MESSAGES_LOST"],
  MEMBER_SILENT: ["LARGE_MESSAGES_LOST"],
  REPLY_NOT_JSON: ["SOCKET_TAKEN"],
  REPLY_EMPTY: ["SOCKET_TAKEN"],
  REPLY_MALFORMED: ["SOCKET_TAKEN"],
  REQUEST_ERROR: ["SOCKET_TAKEN"],
  PERMISSIONS_WRONG: ["SOCKET_TAKEN"],
};
