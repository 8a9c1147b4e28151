/** Codes about connecting, the rings, and the answers to requests. */
import type { Code } from "../code.ts";

export const REQUEST_CODES = {
  HANDSHAKE_HUNG: {
    title: "no answer to the handshake",
    check: "handshake",
    severity: "fail",
    line: "@{service} takes connections but did not answer the handshake within {deadline} ms",
    cause:
      "The server is stopped, or its only IPC thread waits for rrdcached, the disk, corosync or " +
      "FUSE. Clients without a time limit hang until it answers.",
    advice:
      "Look at `pmxcfs-ipc --check --only listener,rrd,stuck,database`, /proc/{pid}/status and " +
      "/proc/{pid}/wchan. The last resort is `systemctl restart pve-cluster`.",
    seen: ["hang"],
  },
  HANDSHAKE_GARBAGE: {
    title: "not a libqb server",
    check: "handshake",
    severity: "fail",
    line: "the listener on @{service} does not speak libqb: {detail}",
    cause: "Another program uses the name, or the server is damaged.",
    advice: "Look at which program it is: `ls -l /proc/{pid}/exe`.",
  },
  HANDSHAKE_CLOSED: {
    title: "closed during the handshake",
    check: "handshake",
    severity: "fail",
    line: "the server closed the connection during the handshake",
    cause:
      "The server has no free descriptors, has its maximum of connections, or is stopping. A " +
      "server that closes without an answer gives no reason.",
    advice: "Look at `journalctl -u pve-cluster -n 30` and `ls /proc/{pid}/fd | wc -l`.",
    seen: ["not-connected"],
  },
  HANDSHAKE_ERROR: {
    title: "connecting refused with an error",
    check: "handshake",
    severity: "fail",
    line: "the server refused the connection: {name} ({text})",
    cause:
      "The server answered the handshake with an error: EMFILE and ENFILE mean descriptors, " +
      "ENOMEM means memory, EAGAIN and EBUSY its maximum of connections.",
    advice: "Look at `journalctl -u pve-cluster -n 30` and `ls /proc/{pid}/fd | wc -l`.",
    seen: ["ipc-other-error", "resource-unavailable"],
  },
  SHM_FULL_FOR_CLIENT: {
    title: "no room for this client's rings",
    check: "handshake",
    severity: "fail",
    line: "the server could not make room for this client: {text}",
    cause: "Each client takes three rings of just over 1 MiB in /dev/shm, reserved at connect.",
    advice:
      "Look at `df -h /dev/shm` in the server's mount namespace, and the leftovers of dead " +
      "servers: `pmxcfs-ipc --check --clean-stale --dry-run`.",
    seen: ["no-space"],
  },
  RINGS_NOT_OPENABLE: {
    title: "the ring files cannot be opened",
    check: "handshake",
    severity: "fail",
    usualPath: "/dev/shm",
    line: "accepted, but the ring files cannot be opened: {name} on {path}",
    cause:
      "The server could not give the files to this caller: it does not run as root, the caller " +
      "is in a user namespace, or they do not share one /dev/shm.",
    advice: "Look at `ls -ln /dev/shm`, `stat -f /dev/shm` and `cat /proc/self/uid_map`.",
    seen: ["permission-denied"],
  },
  RING_PERMISSIONS: {
    title: "ring files open to others",
    check: "handshake",
    severity: "warn",
    line: "{path} has mode {mode} (limit {limit}): others can reach this connection's memory",
    cause: "A process that can open the ring files can read and forge requests of this client.",
    advice: "Find what changes the modes below /dev/shm, then `systemctl restart pve-cluster`.",
  },
  SERVER_UNKNOWN: {
    title: "an unknown server",
    check: "handshake",
    severity: "notice",
    line: "the server (pid {pid}, {command}) is neither pmxcfs nor pmxcfs-ipc by its name",
    cause: "It is a wrapper, a test server, or another program with this service name.",
    advice: "Look at `ls -l /proc/{pid}/exe`.",
  },
  SERVER_REPLACED: {
    title: "the server runs a program that was replaced",
    check: "handshake",
    severity: "notice",
    line: "the server (pid {pid}) runs a file of {program} that was replaced or removed{runs}",
    cause:
      "The package was upgraded, and the server was not restarted since then: faults that the " +
      "new version does not have are still there.",
    advice:
      "`systemctl restart pve-cluster` starts the installed program (`cat /proc/{pid}/cgroup` " +
      "names the unit). PVE's clients wait for it.",
  },
  REQUEST_HUNG: {
    title: "a request is not answered",
    check: "requests",
    severity: "fail",
    line: "{request} was not answered within {deadline} ms",
    cause:
      "The server read the request and does not answer: its one IPC thread waits for a lock that " +
      "is held during calls to rrdcached, corosync, the disk or FUSE.",
    advice:
      "Look at `pmxcfs-ipc --check --only listener,rrd,stuck,database` and `cat " +
      "/proc/{pid}/wchan`.",
    seen: ["hang"],
  },
  REQUEST_DISCONNECTED: {
    title: "disconnected instead of answered",
    check: "requests",
    severity: "fail",
    line: "the server ended the connection instead of answering {request}",
    cause:
      "The reply did not fit into the ring (the C server then disconnects and logs " +
      "qb_ipcs_response_send), or the server crashed or restarted.",
    advice: "Look at `journalctl -u pve-cluster --since -5min`.",
    seen: ["server-killed", "not-connected"],
  },
  REPLY_TOO_LARGE: {
    title: "a reply larger than clients can take",
    check: "requests",
    severity: "fail",
    line: "the reply to {request} has {bytes} bytes, a client can take {limit}",
    cause:
      'PVE clients have a buffer of 1 MiB, header included. A larger reply gives "No buffer ' +
      'space available" or a lost connection, each time.',
    advice: "Look at what the reply has, and remove or shorten that: `pmxcfs-ipc call {call}`.",
    seen: ["no-buffer-space", "not-connected"],
  },
  REPLY_LARGE: {
    title: "a large reply",
    check: "requests",
    severity: "warn",
    line: "the reply to {request} has {bytes} bytes, {percent} % of the {limit} a client can take",
    cause:
      "The reply grows with guests, nodes, status keys or log entries. Above 1 MiB clients fail.",
    advice: "Look at what the reply has: `pmxcfs-ipc call {call}`.",
    seen: ["no-buffer-space"],
  },
  REPLY_MALFORMED: {
    title: "a reply that is no libqb message",
    check: "requests",
    severity: "fail",
    line: "the reply to {request} is no libqb message: {detail}",
    cause: "It is shorter than its header says, or has another request's id.",
    advice: "Look at which program answers: `ls -l /proc/{pid}/exe`.",
  },
  REPLY_EMPTY: {
    title: "an empty reply",
    check: "requests",
    severity: "fail",
    line: "the reply to {request} is empty",
    cause:
      "pmxcfs always answers this request with JSON, so another program answers, or the server " +
      "is damaged.",
    advice: "Look at which program answers: `ls -l /proc/{pid}/exe`.",
    seen: ["acl-list"],
  },
  REPLY_NOT_JSON: {
    title: "a reply that is not JSON",
    check: "requests",
    severity: "fail",
    line: "the reply to {request} is not valid JSON: {detail}",
    cause:
      "A key, tag, user or value has a quote, backslash or control character. The C server does " +
      "not escape all of them, and clients then cannot decode the whole reply.",
    advice: "Find the character in `pmxcfs-ipc call {call}`, and remove it where it comes from.",
    seen: ["acl-list"],
  },
  REQUEST_ERROR: {
    title: "a read request fails",
    check: "requests",
    severity: "fail",
    line: "{request} was answered with {name} ({text})",
    cause: "A healthy server answers this read request without an error.",
    advice: "Look at `journalctl -u pve-cluster -n 30`.",
    seen: ["ipc-other-error"],
  },
  PERMISSIONS_WRONG: {
    title: "wrong permissions",
    check: "permissions",
    severity: "fail",
    line: "as {caller}, {attempt} was answered with {got}, not with {expected}",
    cause:
      "Root may write, and read private files; group www-data may do neither. This server has " +
      "another rule.",
    advice: "Restart the server without access options (`pmxcfs-ipc serve --help`).",
    seen: ["operation-not-permitted"],
  },
  SERVER_READ_ONLY: {
    title: "a read-only server",
    check: "permissions",
    severity: "notice",
    line: "this server is read-only for all callers, {caller} included",
    cause:
      "It was started with --read-only: SET_STATUS and private files are EPERM for every caller.",
    advice: "Start it without --read-only if PVE's daemons must write.",
    seen: ["operation-not-permitted"],
  },
  WWW_DATA_FAILS: {
    title: "group www-data is not served",
    check: "permissions",
    severity: "fail",
    line: "as www-data, the user of pveproxy: {what}",
    cause:
      "The API and the GUI use pveproxy, which is not root: commands of root work, and the " +
      "browser shows errors.",
    advice:
      "For details: `setpriv --reuid www-data --regid www-data --clear-groups pmxcfs-ipc --check`.",
    seen: ["unknown-error", "permission-denied"],
  },
  LATENCY_HIGH: {
    title: "slow answers",
    check: "latency",
    severity: "warn",
    line:
      "{rounds} {rounds:round|rounds} of GET_FS_VERSION: p99 {p99} ms (limit {limit} ms), p50 " +
      "{p50} ms",
    cause:
      "The CPU or the server is busy, or the server waits for a lock. Each API request starts " +
      "with this request.",
    advice: "Look at `uptime`, `pmxcfs-ipc top` and `cat /proc/pressure/cpu`.",
    seen: ["status-update-time"],
  },
  FLOW_CONTROL_ON: {
    title: "clients are stopped by flow control",
    check: "flow",
    severity: "warn",
    line: "{count} of {total} connections {count:is|are} stopped by flow control: {list}",
    cause:
      "The server is saturated and stops these clients: their sends fail with EAGAIN, which PVE " +
      "clients do not retry.",
    advice: "Find the clients with the most requests: `pmxcfs-ipc top`.",
    seen: ["resource-unavailable"],
  },
  QUEUE_WAITING: {
    title: "requests wait unserved",
    check: "flow",
    severity: "warn",
    line:
      "{count} of {total} connections {count:has|have} requests that wait for over {limit} ms: " +
      "{list}",
    cause: "The server does not read the rings: it hangs or is overloaded.",
    advice: "Look at `pmxcfs-ipc --check --only listener,requests,rrd`.",
    seen: ["hang"],
  },
} as const satisfies Record<string, Code>;
