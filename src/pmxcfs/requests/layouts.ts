/**
 * The twelve requests of pmxcfs: ids and request layouts, as server.c and cfs-ipc-ops.h have
 * them. Offsets count from the body, which starts 16 bytes into the message; structs that end in
 * a flexible tail are not padded, so their `size` is where the tail begins.
 */
import { char, prefix, struct, u32, u8 } from "../../wire/struct.ts";

/** Message ids (cfs-ipc-ops.h). 0, 9 and 14 upwards are free: ECHRNG. */
export const CfsIpc = {
  GET_FS_VERSION: 1,
  GET_CLUSTER_INFO: 2,
  GET_GUEST_LIST: 3,
  SET_STATUS: 4,
  GET_STATUS: 5,
  GET_CONFIG: 6,
  LOG_CLUSTER_MSG: 7,
  GET_CLUSTER_LOG: 8,
  GET_RRD_DUMP: 10,
  GET_GUEST_CONFIG_PROPERTY: 11,
  VERIFY_TOKEN: 12,
  GET_GUEST_CONFIG_PROPERTIES: 13,
} as const;

export type CfsIpc = (typeof CfsIpc)[keyof typeof CfsIpc];

/** Bytes of a fixed name field; 255 count, the last is taken as NUL. */
export const NAME_FIELD_BYTES = 256;

/** SET_STATUS; the value follows. */
export const SetStatusRequest = prefix({ name: char(NAME_FIELD_BYTES) });

/** GET_STATUS; an empty node name means the node that answers. */
export const GetStatusRequest = struct({
  name: char(NAME_FIELD_BYTES),
  nodeName: char(NAME_FIELD_BYTES),
});

/** LOG_CLUSTER_MSG; ident, tag and message follow. The lengths count the NULs. */
export const LogClusterMessageRequest = prefix({ priority: u8, identBytes: u8, tagBytes: u8 });

/** GET_CLUSTER_LOG; the user follows, NUL-terminated, empty for all. */
export const GetClusterLogRequest = prefix({
  maxEntries: u32,
  reserved1: u32,
  reserved2: u32,
  reserved3: u32,
});

/** GET_GUEST_CONFIG_PROPERTY; the property's name follows. vmid 0 means all guests. */
export const GuestPropertyRequest = prefix({ vmid: u32 });

/** GET_GUEST_CONFIG_PROPERTIES; `count` names follow, each NUL-terminated. */
export const GuestPropertiesRequest = prefix({ vmid: u32, count: u8 });
