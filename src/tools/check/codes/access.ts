/** Codes about the caller: its ids, its namespaces, and the accept rule that judges them. */
import type { Code } from "../code.ts";

export const ACCESS_CODES = {
  NETNS_DIFFERS: {
    title: "another network namespace",
    check: "identity",
    severity: "warn",
    line: "this process is in network namespace {own}, pid 1 in {init}",
    cause:
      "The service is an abstract socket, and abstract names exist per network namespace: what " +
      "listens outside cannot be reached from in here.",
    fix: "nsenter --target 1 --net pmxcfs-ipc --check",
    seen: ["connection-refused"],
  },
  USER_NAMESPACE: {
    title: "a user namespace",
    check: "identity",
    severity: "notice",
    line: "uid {uid} in here is uid {outside} outside: this is a user namespace",
    cause:
      "The server sees the ids of its own namespace. Root of a user namespace is an ordinary uid " +
      "to a server outside it, and ring files given to an unmapped uid cannot be opened.",
    fix: "cat /proc/self/uid_map /proc/self/gid_map",
    seen: ["unknown-error", "permission-denied"],
  },
  IN_CONTAINER: {
    title: "a container",
    check: "identity",
    severity: "notice",
    line: "this is a container ({sign})",
    cause:
      "A container has its own /dev/shm and, as a rule, its own network namespace; the pmxcfs of " +
      "the host is not reachable from it, by design.",
    fix: "run pmxcfs-ipc --check on the host as well",
  },
  CREDENTIALS_DIFFER: {
    title: "real and effective ids differ",
    check: "identity",
    severity: "notice",
    line: "real and effective ids differ: uid {ruid}/{euid}, gid {rgid}/{egid}",
    cause:
      "libqb servers judge the real ids (SCM_CREDENTIALS), ours the effective ones " +
      "(SO_PEERCRED); a set-uid or set-gid bit does not help against a C server.",
    fix: "setpriv --reuid {euid} --regid {egid} --clear-groups COMMAND",
    seen: ["unknown-error"],
  },
  ACCESS_REFUSED_UID: {
    title: "refused: not root and not www-data",
    check: "handshake",
    severity: "fail",
    line: "refused: uid {uid} with gid {gid} is neither root nor of group www-data",
    cause:
      "The server accepts uid 0 with gid 0, or gid {wwwdata} (www-data) as the primary group. " +
      "Supplementary groups do not count.",
    fix: "sudo COMMAND, or to read only: sudo setpriv --regid www-data --clear-groups COMMAND",
    seen: ["unknown-error", "operation-not-permitted"],
  },
  ACCESS_REFUSED_GID: {
    title: "refused: root with another group",
    check: "handshake",
    severity: "fail",
    line: "refused: uid 0 is right, but gid {gid} ({group}) is neither 0 nor www-data ({wwwdata})",
    cause:
      "The C server accepts root only together with gid 0. Backup and monitoring agents that run " +
      "as root in a group of their own hit this.",
    fix: "setpriv --regid 0 --clear-groups COMMAND; in a unit: Group=root",
    seen: ["unknown-error"],
  },
  ROOT_GID_UNUSUAL: {
    title: "root with a group a C pmxcfs refuses",
    check: "identity",
    severity: "notice",
    line: "uid 0 has gid {gid} ({group}): this server accepts that, a C pmxcfs would not",
    cause: "The C server accepts root only together with gid 0; ours accepts uid 0 as it is.",
    fix: "setpriv --regid 0 --clear-groups COMMAND",
    seen: ["unknown-error"],
  },
  GROUP_MISSING: {
    title: "no group www-data",
    check: "identity",
    severity: "fail",
    line: "there is no group www-data",
    cause:
      'pmxcfs looks the group up at its start and ends without it ("Unable to get www-data group ' +
      'ID"). Minimal images and containers lack it.',
    fix: "groupadd --system --gid 33 www-data",
    seen: ["www-data-group", "service-failed"],
  },
} as const satisfies Record<string, Code>;
