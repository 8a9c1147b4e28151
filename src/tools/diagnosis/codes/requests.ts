/** Codes about connecting, the rings, and the answers to requests. */
import type { Code } from "../code.ts";

export const REQUEST_CODES = {
  HANDSHAKE_HUNG: {
    title: "no answer to the handshake",
    check: "handshake",
    severity: "fail",
    line: "@{service} takes connections but did not answer the handshake within {deadline} ms",
    cause:
      "The server is stopped, or its only IPC thread waits for something else: rrdcached, the " +
      "disk, corosync, FUSE. Clients without a deadline hang for ever.",
    advice:
      "Look at `pmxcfs-ipc --check --only listener,rrd,stuck,database` and at /proc/{pid}/status " +
      "and /proc/{pid}/wchan; the last resort is `systemctl restart pve-cluster`.",
    seen: ["hang"],
  },
  HANDSHAKE_GARBAGE: {
    title: "not a libqb server",
    check: "handshake",
    severity: "fail",
    line: "what listens on @{service} does not speak libqb: {detail}",
    cause: "Another program has taken the name, or the server is damaged.",
    advice: "Look at which program it is: `ls -l /proc/{pid}/exe`.",
  },
  HANDSHAKE_CLOSED: {
    title: "closed during the handshake",
    check: "handshake",
    severity: "fail",
    line: "the server closed the connection during the handshake",
    cause:
      "It is out of descriptors, above its bound on connections, or shutting down; a server that " +
      "closes instead of answering gives no reason.",
    advice: "Look at `journalctl -u pve-cluster -n 30` and `ls /proc/{pid}/fd | wc -l`.",
    seen: ["not-connected"],
  },
  HANDSHAKE_ERROR: {
    title: "connecting refused with an error",
    check: "handshake",
    severity: "fail",
    line: "the server refused the connection: {name} ({text})",
    cause:
      "The server answered the handshake with an error of its own: EMFILE and ENFILE are " +
      "descriptors, ENOMEM is memory, EAGAIN and EBUSY are its bound on connections.",
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
      "Look at `df -h /dev/shm` in the server's mount namespace, and at what dead servers left: " +
      "`pmxcfs-ipc --check --clean-stale --dry-run`.",
    seen: ["no-space"],
  },
  RINGS_NOT_OPENABLE: {
    title: "the ring files cannot be opened",
    check: "handshake",
    severity: "fail",
    usualPath: "/dev/shm",
    line: "accepted, but the ring files cannot be opened: {name} on {path}",
    cause:
      "The server could not give the files to this caller: it does not run as root, this is a " +
      "user namespace, or both do not share one /dev/shm.",
    advice: "Look at `ls -ln /dev/shm`, `stat -f /dev/shm` and `cat /proc/self/uid_map`.",
    seen: ["permission-denied"],
  },
  RING_PERMISSIONS: {
    title: "ring files open to others",
    check: "handshake",
    severity: "warn",
    line: "{path} has mode {mode} (limit {limit}): others can reach this connection's memory",
    cause: "Anyone who can open the ring files reads and forges requests of this client.",
    advice: "Find what changes the modes below /dev/shm, then `systemctl restart pve-cluster`.",
  },
  SERVER_UNKNOWN: {
    title: "an unknown server",
    check: "handshake",
    severity: "notice",
    line: "the server (pid {pid}, {command}) is neither pmxcfs nor pmxcfs-ipc by its name",
    cause: "A wrapper, a test server, or another program under this service name.",
    advice: "Look at `ls -l /proc/{pid}/exe`.",
  },
  REQUEST_HUNG: {
    title: "a request is not answered",
    check: "requests",
    severity: "fail",
    line: "{request} was not answered within {deadline} ms",
    cause:
      "The server took the request and does not come back: its one IPC thread waits for a lock " +
      "held around rrdcached, corosync, the disk or a FUSE operation.",
    advice:
      "Look at `pmxcfs-ipc --check --only listener,rrd,stuck,database` and `cat /proc/{pid}/wchan`.",
    seen: ["hang"],
  },
  REQUEST_DISCONNECTED: {
    title: "disconnected instead of answered",
    check: "requests",
    severity: "fail",
    line: "the server ended the connection instead of answering {request}",
    cause:
      "The reply did not fit into the ring (the C server then disconnects and logs " +
      "qb_ipcs_response_send), or the server crashed or restarted just now.",
    advice: "Look at `journalctl -u pve-cluster --since -5min`.",
    seen: ["server-killed", "not-connected"],
  },
  REPLY_TOO_LARGE: {
    title: "a reply larger than clients can take",
    check: "requests",
    severity: "fail",
    line: "the reply to {request} has {bytes} bytes, a client can take {limit}",
    cause:
      'PVE clients have a buffer of 1 MiB, header included. A larger reply ends in "No buffer ' +
      'space available" or a lost connection, each time.',
    advice: "Look at what it lists, and remove or shorten that: `pmxcfs-ipc call {call}`.",
    seen: ["no-buffer-space", "not-connected"],
  },
  REPLY_LARGE: {
    title: "a large reply",
    check: "requests",
    severity: "warn",
    line: "the reply to {request} has {bytes} bytes, {percent} % of the {limit} a client can take",
    cause: "It grows with guests, nodes, keys or log lines; above 1 MiB clients fail.",
    advice: "Look at what it lists: `pmxcfs-ipc call {call}`.",
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
    cause: "A pmxcfs always answers this one with JSON; this is another program, or a damaged one.",
    advice: "Look at which program answers: `ls -l /proc/{pid}/exe`.",
    seen: ["acl-list"],
  },
  REPLY_NOT_JSON: {
    title: "a reply that is not JSON",
    check: "requests",
    severity: "fail",
    line: "the reply to {request} is not valid JSON: {detail}",
    cause:
      "A key, tag, user or value with a quote, backslash or control character: the C server does " +
      "not escape all of them, and clients then fail to decode the whole reply.",
    advice: "Find the character in `pmxcfs-ipc call {call}` and remove it at its source.",
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
      "Root may write and read private files, group www-data may do neither; this server decides " +
      "otherwise.",
    advice: "Restart the server without access options (`pmxcfs-ipc serve --help`).",
    seen: ["operation-not-permitted"],
  },
  SERVER_READ_ONLY: {
    title: "a read-only server",
    check: "permissions",
    severity: "notice",
    line: "this server lets nobody write: {caller} is read-only on it",
    cause: "It was started with --read-only: SET_STATUS and private files give EPERM to all.",
    advice: "Start it without --read-only where PVE's daemons are to write.",
    seen: ["operation-not-permitted"],
  },
  WWW_DATA_FAILS: {
    title: "group www-data is not served",
    check: "permissions",
    severity: "fail",
    line: "as www-data, the user of pveproxy: {what}",
    cause:
      "The API and the GUI read through pveproxy, which is not root: everything works from a " +
      "root shell, and nothing in the browser.",
    advice:
      "Look closer: `setpriv --reuid www-data --regid www-data --clear-groups pmxcfs-ipc --check`.",
    seen: ["unknown-error", "permission-denied"],
  },
  LATENCY_HIGH: {
    title: "slow answers",
    check: "latency",
    severity: "warn",
    line: "{rounds} rounds of GET_FS_VERSION: p99 {p99} ms (limit {limit} ms), p50 {p50} ms",
    cause: "Each API request starts with this call. A busy CPU, a busy server or a held lock.",
    advice: "Look at `uptime`, `pmxcfs-ipc top` and `cat /proc/pressure/cpu`.",
    seen: ["status-update-time"],
  },
  FLOW_CONTROL_ON: {
    title: "clients are stopped by flow control",
    check: "flow",
    severity: "warn",
    line: "{count} of {total} connections are stopped by flow control: {list}",
    cause:
      "The server is saturated and asks these clients to wait; their sends fail with EAGAIN, " +
      "which PVE clients do not retry.",
    advice: "See who asks most: `pmxcfs-ipc top`.",
    seen: ["resource-unavailable"],
  },
  QUEUE_WAITING: {
    title: "requests wait unserved",
    check: "flow",
    severity: "warn",
    line: "{count} of {total} connections have requests that wait for over {limit} ms: {list}",
    cause: "The server does not take requests out of the rings: it hangs or is overloaded.",
    advice: "Look at `pmxcfs-ipc --check --only listener,requests,rrd`.",
    seen: ["hang"],
  },
} as const satisfies Record<string, Code>;
