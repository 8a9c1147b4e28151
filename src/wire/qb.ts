/**
 * libqb's layouts and numbers (qbipc_common.h, ipc_int.h, ringbuffer_int.h;
 * docs/internals/handshake.md, docs/internals/ring.md). Data only: nothing here reads a socket or a
 * ring.
 */
import { char, i32Aligned8, struct, u32, u32Aligned8, u64 } from "./struct.ts";

/** Message ids below zero belong to libqb (qbipc_common.h). */
export const QbMessage = {
  AUTHENTICATE: -1,
  NEW_EVENT_SOCK: -2,
  DISCONNECT: -3,
} as const;

/** enum qb_ipc_type: the only transport pmxcfs uses. */
export const QB_IPC_SHM = 1;

/** Bytes per ring name in the set-up answer (PATH_MAX). */
const RING_NAME_BYTES = 4096;

/** struct qb_ipc_request_header, at the start of every request. */
export const RequestHeader = struct({ id: i32Aligned8, size: i32Aligned8 });

/** struct qb_ipc_response_header, at the start of every response. */
export const ResponseHeader = struct({ id: i32Aligned8, size: i32Aligned8, error: i32Aligned8 });

/** struct qb_ipc_connection_request: the client's first message on the setup socket. */
export const ConnectionRequest = struct({
  id: i32Aligned8,
  size: i32Aligned8,
  maxMessageBytes: u32Aligned8,
});

/** struct qb_ipc_connection_response: the server's answer to it. */
export const ConnectionResponse = struct({
  id: i32Aligned8,
  size: i32Aligned8,
  error: i32Aligned8,
  connectionType: u32Aligned8,
  maxMessageBytes: u32,
  connection: u64,
  request: char(RING_NAME_BYTES),
  response: char(RING_NAME_BYTES),
  event: char(RING_NAME_BYTES),
});

/** Byte offsets in the header file: struct qb_ringbuffer_shared_s and its shared_user_data. */
export const RingHeader = {
  writePt: 0,
  readPt: 4,
  wordCount: 8,
  headerPath: 12,
  dataPath: 4108,
  pathBytes: 4096,
  refCount: 8204,
  /** sem_t: u32 value, u32 waiters, i32 private. */
  semaphore: 8208,
  semaphoreWaiters: 8212,
  semaphorePrivate: 8216,
  /** In shared_user_data: the flow control word of a request ring. */
  flowControl: 8240,
  /** Bytes of the header file: sizeof the struct, and the flow control word. */
  fileBytes: 8252,
} as const;

/** glibc's value of `private` in a process-shared semaphore; with 0 its waiters never wake. */
export const SEMAPHORE_SHARED = 128;

/** The magic word of a chunk (ringbuffer_int.h). */
export const ChunkMagic = {
  /** Committed: the reader may take it. */
  LIVE: 0xa1a1a1a1 | 0,
  /** Being written. */
  ALLOC: 0xa110ced0 | 0,
  /** Reclaimed. */
  DEAD: 0xd0d0d0d0 | 0,
} as const;

/** Words before a chunk's payload: its size and its magic number. */
export const CHUNK_HEADER_WORDS = 2;

/** Bytes that must stay free beyond a payload (QB_RB_CHUNK_MARGIN). */
export const CHUNK_MARGIN_BYTES = 12;

/** Flow control levels (qb_ipcs_rate_limit); OFF_2 stops only clients that asked for it. */
export const FlowControl = { ON: 0, RATE_OFF: 1, RATE_OFF_2: 2 } as const;
