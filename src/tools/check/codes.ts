/**
 * The table of codes: everything `--check` can find wrong. A code is stable: scripts, dashboards
 * and `--skip` name it. Which finding explains which others is data too (EFFECTS), so that the
 * verdict names the cause and not the first symptom.
 */
import type { Code, Placeholders } from "./code.ts";
import { ACCESS_CODES } from "./codes/access.ts";
import { CLUSTER_CODES } from "./codes/cluster.ts";
import { LISTENER_CODES } from "./codes/listener.ts";
import { MACHINE_CODES } from "./codes/machine.ts";
import { REQUEST_CODES } from "./codes/requests.ts";

export const CODES = {
  ...LISTENER_CODES,
  ...ACCESS_CODES,
  ...REQUEST_CODES,
  ...MACHINE_CODES,
  ...CLUSTER_CODES,
} as const satisfies Record<string, Code>;

export type CodeName = keyof typeof CODES;

/** The values a code's templates ask for. */
export type CodeValues<C extends CodeName> = Readonly<
  Record<Placeholders<(typeof CODES)[C]["line" | "cause" | "fix"]>, string | number>
>;

/** True when `word` is a code of the table (`DB_CORRUPT`). */
export function isCode(word: string): word is CodeName {
  return Object.hasOwn(CODES, word);
}

/** Why a pmxcfs does not start. */
const KEEPS_FROM_STARTING: readonly CodeName[] = [
  "NOT_INSTALLED",
  "GROUP_MISSING",
  "NAME_UNRESOLVED",
  "NAME_LOOPBACK",
  "DB_CORRUPT",
  "DB_NOT_PMXCFS",
  "DB_DUPLICATE_NAME",
  "DB_DUPLICATE_VMID",
  "DB_ORPHAN",
  "DB_LOCKED_BY_OTHER",
  "PVE_DEAD_MOUNT",
  "PVE_NOT_EMPTY",
  "FUSE_MISSING",
];

/** Why a server that listens does not answer. */
const KEEPS_FROM_ANSWERING: readonly CodeName[] = [
  "SERVER_STOPPED",
  "SERVER_STUCK",
  "RRDCACHED_HUNG",
];

const KEEPS_FROM_CONNECTING: readonly CodeName[] = ["SHM_MISSING", "SHM_READ_ONLY", "SHM_FULL"];

/** Symptom -> what explains it when both are found, the most telling first. */
export const EFFECTS: Readonly<Partial<Record<CodeName, readonly CodeName[]>>> = {
  SOCKET_ABSENT: [
    ...KEEPS_FROM_STARTING,
    "NETNS_DIFFERS",
    "SOCKET_TAKEN",
    "SOCKET_SHORT_ADDRESS",
    "SOCKET_FILESYSTEM_MISMATCH",
    "LOG_ERROR",
    "UNIT_FAILED",
    "UNIT_MASKED",
  ],
  UNIT_FAILED: [...KEEPS_FROM_STARTING, "LOG_ERROR"],
  UNIT_INACTIVE: KEEPS_FROM_STARTING,
  HANDSHAKE_HUNG: KEEPS_FROM_ANSWERING,
  REQUEST_HUNG: KEEPS_FROM_ANSWERING,
  QUEUE_WAITING: [...KEEPS_FROM_ANSWERING, "REQUEST_HUNG"],
  PVE_HUNG: KEEPS_FROM_ANSWERING,
  SHM_FULL_FOR_CLIENT: KEEPS_FROM_CONNECTING,
  HANDSHAKE_ERROR: [...KEEPS_FROM_CONNECTING, "DESCRIPTORS_LOW"],
  HANDSHAKE_CLOSED: [...KEEPS_FROM_CONNECTING, "DESCRIPTORS_LOW"],
  RINGS_NOT_OPENABLE: KEEPS_FROM_CONNECTING,
  SHM_FULL: ["SHM_STALE"],
  PVE_READ_ONLY: ["NO_QUORUM"],
  REPLY_NOT_JSON: ["SOCKET_TAKEN"],
  REPLY_EMPTY: ["SOCKET_TAKEN"],
  REPLY_MALFORMED: ["SOCKET_TAKEN"],
  REQUEST_ERROR: ["SOCKET_TAKEN"],
};
