/** Names and paths of a node as pmxcfs, PVE's tools and corosync have them. */

/** The service name of pmxcfs (server.c), to which PVE's clients connect. */
export const PVE_SERVICE = "pve2";

/** The systemd unit of a node's pmxcfs. */
export const NODE_UNIT = "pve-cluster.service";

/** What pmxcfs uses; the C server has no options for them. */
export const PVE = {
  mount: "/etc/pve",
  database: "/var/lib/pve-cluster/config.db",
  runDirectory: "/run/pve-cluster",
  pidFile: "/run/pve-cluster.pid",
} as const;

/** In the run directory; without one, beside the database (change-ledger.ts). */
export const LEDGER_FILE = ".pmxcfs.changes";
/** Beside the database. */
export const LOCK_FILE = ".pmxcfs.lockfile";

/** Made at a clean stop, removed when the server has started again: PVE's clients look for it. */
export const PVE_RESTART_FLAG = "/run/pve-cluster/cfs-restart-flag";

/** The history of a node's changes. */
export const HISTORY_DATABASE = "/var/lib/pve-cluster/history.db";

/** The file that corosync reads. */
export const COROSYNC_CONF = "/etc/corosync/corosync.conf";

/** rrdcached of Debian's package, and the directory of its files. */
export const RRDCACHED = {
  socket: "/var/run/rrdcached.sock",
  directory: "/var/lib/rrdcached/db",
};
