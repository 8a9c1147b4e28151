/**
 * The messages of corosync's services cpg, quorum and cmap (ipc_cpg.h, ipc_quorum.h, ipc_cmap.h of
 * corosync 3.1) as data. Offsets are relative to the body, which follows libqb's header (16 bytes
 * in a request, 24 in a response or event). Fields start at multiples of 8 (mar_gen.h).
 */
import {
  aligned8,
  bytes,
  char,
  i32Aligned8,
  prefix,
  struct,
  u16,
  u32,
  u32Aligned8,
  u64,
  u8,
} from "../wire/struct.ts";

/** Names of the services' sockets. */
export const ServiceName = { cpg: "cpg", quorum: "quorum", cmap: "cmap" } as const;

/** The message size that corosync's libraries request. */
export const COROSYNC_MESSAGE_BYTES = 1024 * 1024;

/** Bytes of a group name (CPG_MAX_NAME_LENGTH). */
export const GROUP_NAME_BYTES = 128;

const u8Aligned8 = aligned8(u8);

/** struct mar_cpg_name_t. */
const group = {
  groupLength: u32Aligned8,
  groupName: aligned8(bytes(GROUP_NAME_BYTES)),
} as const;

export const CpgRequestId = {
  JOIN: 0,
  LEAVE: 1,
  MCAST: 2,
  MEMBERSHIP_GET: 3,
  LOCAL_GET: 4,
  FINALIZE: 8,
  PARTIAL_MCAST: 12,
} as const;

/** Responses have their own numbers. */
export const CpgResponseId = {
  JOIN: 0,
  LEAVE: 1,
  MEMBERSHIP_GET: 3,
  LOCAL_GET: 7,
  FINALIZE: 12,
  PARTIAL_MCAST: 18,
} as const;

export const CpgEventId = {
  CONFCHG: 4,
  DELIVER: 5,
  TOTEM_CONFCHG: 13,
  PARTIAL_DELIVER: 17,
} as const;

/** CPG_TYPE_AGREED: total order. */
export const GUARANTEE_AGREED = 2;

/** The largest message in one piece (CPG's IPC size less its own headers). */
export const CPG_PIECE_BYTES = COROSYNC_MESSAGE_BYTES - 1024;

/** Where a fragment stands in its message (enum in ipc_cpg.h). */
export const FragmentType = { FIRST: 1, CONTINUED: 2, LAST: 3 } as const;

export const CpgJoinRequest = struct({ ...group, pid: u32Aligned8, flags: u32Aligned8 });
export const CpgLeaveRequest = struct({ ...group, pid: u32Aligned8 });
export const CpgMembershipRequest = struct({ ...group });
/** Both mcast requests have a third header word, which is unused. */
export const CpgMcastRequest = struct({
  unused: u64,
  guarantee: u32Aligned8,
  messageBytes: u32Aligned8,
});
export const CpgPartialMcastRequest = struct({
  unused: u64,
  guarantee: u32Aligned8,
  messageBytes: u32Aligned8,
  fragmentBytes: u32Aligned8,
  type: u32Aligned8,
});
export const CpgLocalGetResponse = struct({ nodeid: u32Aligned8 });
export const CpgMembershipResponse = struct({ count: u32Aligned8 });

/** struct mar_cpg_address_t: a member, and the reason why a confchg lists it. */
export const CpgAddress = struct({ nodeid: u32Aligned8, pid: u32Aligned8, reason: u32Aligned8 });
/** Most addresses in a list of a confchg (CPG_MEMBERS_MAX). */
export const CPG_MEMBERS_MAX = 384;

/** The lists follow in another order than their counts: members, left, joined. */
export const CpgConfchgEvent = struct({
  ...group,
  memberCount: u32Aligned8,
  joinedCount: u32Aligned8,
  leftCount: u32Aligned8,
});
export const CpgDeliverEvent = struct({
  ...group,
  messageBytes: u32Aligned8,
  nodeid: u32Aligned8,
  pid: u32Aligned8,
});
export const CpgPartialDeliverEvent = struct({
  ...group,
  messageBytes: u32Aligned8,
  fragmentBytes: u32Aligned8,
  nodeid: u32Aligned8,
  pid: u32Aligned8,
  type: u32Aligned8,
});

export const QuorumRequestId = { GETQUORATE: 0, TRACKSTART: 1, TRACKSTOP: 2, GETTYPE: 3 } as const;
export const QuorumResponseId = { GETQUORATE: 0, TRACKSTART: 1, TRACKSTOP: 2, GETTYPE: 4 } as const;
export const QuorumEventId = { NOTIFICATION: 3 } as const;
/** CS_TRACK_CHANGES: the state at once, then each change. */
export const TRACK_CHANGES = 2;

export const QuorumTrackRequest = struct({ flags: u32Aligned8 });
/** The response to GETQUORATE and GETTYPE. */
export const QuorumWordResponse = struct({ value: u32Aligned8 });
/** Followed by `count` u32 node ids, directly after the count. */
export const QuorumNotification = prefix({
  quorate: i32Aligned8,
  ringSeq: u64,
  count: aligned8(u32),
});

/** Bytes of the array that holds a key; the key itself has 3 to 255. */
const CMAP_KEY_BYTES = 256;
export const CMAP_KEY_MIN = 3;
export const CMAP_KEY_MAX = 255;
/** Most bytes of a value (ICMAP_MAX_VALUE_LEN). */
export const CMAP_VALUE_BYTES_MAX = 16 * 1024;

/** struct mar_name_t with a key; the length does not count the NUL. */
const key = { keyLength: aligned8(u16), keyName: aligned8(char(CMAP_KEY_BYTES)) } as const;

/** The same numbers in requests and responses, but for SET_MAP. */
export const CmapMessageId = {
  GET: 2,
  ITER_INIT: 4,
  ITER_NEXT: 5,
  ITER_FINALIZE: 6,
  TRACK_ADD: 7,
  TRACK_DELETE: 8,
  SET_MAP: 9,
} as const;
export const CmapEventId = { CHANGE: 9 } as const;
/** SET_MAP has a number of its own: 9 is the event. */
export const CMAP_SET_MAP_RESPONSE = 10;
/** Which map a connection reads (cmap.h, CMAP_MAP_ICMAP and CMAP_MAP_STATS). */
export const CmapMap = { CONFIGURATION: 0, STATISTICS: 1 } as const;

/** Flags: what happened to a key, and which changes are tracked. */
export const CmapTrack = { DELETE: 1, MODIFY: 2, ADD: 4, PREFIX: 8 } as const;

/** Types of values; 1 to 8 are integers. */
export const CmapType = {
  INT8: 1,
  UINT8: 2,
  INT16: 3,
  UINT16: 4,
  INT32: 5,
  UINT32: 6,
  INT64: 7,
  UINT64: 8,
  FLOAT: 9,
  DOUBLE: 10,
  STRING: 11,
  BINARY: 12,
} as const;

export const CmapGetRequest = struct({ ...key, valueBytes: u64 });
export const CmapGetResponse = struct({ valueBytes: u64, type: u8Aligned8 });
export const CmapKeyRequest = struct({ ...key });
export const CmapSetMapRequest = struct({ map: i32Aligned8 });
export const CmapHandleMessage = struct({ handle: u64 });
export const CmapIterNextResponse = struct({
  ...key,
  valueBytes: u64,
  type: u8Aligned8,
});
export const CmapTrackAddRequest = struct({ ...key, type: i32Aligned8, number: u64 });
export const CmapChangeEvent = struct({
  number: u64,
  ...key,
  what: i32Aligned8,
  newType: u8Aligned8,
  oldType: u8Aligned8,
  newBytes: u64,
  oldBytes: u64,
});
