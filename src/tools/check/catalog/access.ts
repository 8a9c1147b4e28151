/** Codes about the caller: its ids, its namespaces, and the accept rule that judges them. */
import type { Code } from "./code.ts";

export const ACCESS_CODES = {
  NETNS_DIFFERS: {
    title: "another network namespace",
    check: "identity",
    severity: "warn",
    line: "this process is in network namespace {own}, pid 1 is in {init}",
    cause:
      "The service is an abstract socket, and abstract names exist per network namespace: a " +
      "server outside cannot be reached from this one.",
    fix: "nsenter --target 1 --net pmxcfs-ipc --check --socket {service}",
    seen: ["connection-refused"],
  },
  USER_NAMESPACE: {
    title: "a user namespace",
    check: "identity",
    severity: "notice",
    line: "uid {uid}, gid {gid} of this user namespace are uid {outside}, gid {outsideGid} outside",
    cause:
      "The server judges the ids of its own user namespace, not those in here. Root of a user " +
      "namespace is an ordinary uid to a server outside it, and ring files that are given to an " +
      "unmapped uid cannot be opened.",
    advice: "Run it as root of the host, outside of the user namespace.",
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
    advice: "Run `pmxcfs-ipc --check` on the host as well.",
  },
  CREDENTIALS_DIFFER: {
    title: "real and effective ids differ",
    check: "identity",
    severity: "notice",
    line: "real and effective ids differ: uid {ruid}/{euid}, gid {rgid}/{egid}",
    cause:
      "libqb servers judge the real ids (SCM_CREDENTIALS); a set-uid or set-gid bit does not " +
      "change those.",
    advice:
      "Start the program with the ids it needs as real ones: " +
      "`setpriv --reuid {euid} --regid {egid} --clear-groups` in front of its command line.",
    seen: ["unknown-error"],
  },
  ACCESS_REFUSED_UID: {
    title: "refused: neither root nor www-data",
    check: "handshake",
    severity: "fail",
    line: "refused: uid {uid} with gid {gid} is neither root nor of group www-data",
    cause:
      "The server accepts uid 0 with gid 0, or the gid of group www-data as the primary group. " +
      "Supplementary groups do not count.",
    advice:
      "Run the program as root (sudo). To read only: with www-data as its primary group, " +
      "`setpriv --regid www-data --clear-groups` in front of its command line.",
    seen: ["ipc-other-error", "unknown-error", "operation-not-permitted"],
  },
  ACCESS_REFUSED_GID: {
    title: "refused: root with another group",
    check: "handshake",
    severity: "fail",
    line: "refused: uid 0 is right, but gid {gid} ({group}) is neither 0 nor www-data ({wwwdata})",
    cause:
      "The C server accepts root only together with gid 0. Backup and monitoring agents that run " +
      "as root in a group of their own are refused.",
    advice:
      "Run the program with gid 0: `setpriv --regid 0 --clear-groups` in front of its command " +
      "line; in its unit Group=root.",
    seen: ["ipc-other-error", "unknown-error"],
  },
  ACCESS_REFUSED_RULE: {
    title: "refused by a rule of this server",
    check: "handshake",
    severity: "fail",
    line: "refused: uid {uid}, gid {gid}, which pmxcfs's usual rule accepts",
    cause:
      "The server accepts other ids than pmxcfs does: it was started with rules of its own, it " +
      "does not run as root and can give its ring files to nobody else, or it lives in another " +
      "user namespace.",
    advice:
      "Ask as the user the server runs as, or start the server as root and without access " +
      "options (`pmxcfs-ipc serve --help`).",
    seen: ["unknown-error", "operation-not-permitted"],
  },
  ROOT_GID_UNUSUAL: {
    title: "root with a group a C pmxcfs refuses",
    check: "identity",
    severity: "notice",
    line: "uid 0 has gid {gid} ({group}): this server accepts that, a C pmxcfs would not",
    cause: "The C server accepts root only together with gid 0; ours accepts any gid of uid 0.",
    advice: "In the program's unit: Group=root.",
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
    fix:
      "{ groupadd --system --gid 33 www-data || groupadd --system www-data; } && " +
      "systemctl restart pve-cluster",
    seen: ["www-data-group", "service-failed"],
  },
} as const satisfies Record<string, Code>;
