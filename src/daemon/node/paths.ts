/** Paths that pmxcfs uses on a node; the C server has no options for them. */

export const PVE = {
  mount: "/etc/pve",
  database: "/var/lib/pve-cluster/config.db",
  runDirectory: "/run/pve-cluster",
  pidFile: "/run/pve-cluster.pid",
} as const;

/** Beside the database. */
export const LOCK_FILE = ".pmxcfs.lockfile";
