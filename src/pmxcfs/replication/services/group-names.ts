/** The names of pmxcfs's process groups. Corosync compares them with the NUL that pmxcfs counts. */

/** Changes of the tree. */
export const DATABASE_GROUP = "pve_dcdb_v1\0";
/** Status keys and the cluster log. */
export const STATUS_GROUP = "pve_kvstore_v1\0";
