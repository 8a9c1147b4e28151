/** Paths that pmxcfs uses on a node; the C server has no options for them. */

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
