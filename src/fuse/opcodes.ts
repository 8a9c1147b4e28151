/** Numbers of the kernel's FUSE protocol (linux/fuse.h): operations, flags, version. */

/** The protocol version this server speaks; with an older kernel, the kernel's. */
export const FUSE_VERSION = { major: 7, minor: 45 } as const;

/** Below this minor version the answer to INIT has 24 bytes. */
export const FIRST_LONG_INIT_MINOR = 23;

/** enum fuse_opcode. */
export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
} as const;

const NAMES = new Map<number, string>(
  Object.entries(Opcode).map(([name, number]) => [number, name.toLowerCase()]),
);

/** `lookup` for 1; `operation 99` for a number that is not listed. */
export function opcodeName(opcode: number): string {
  return NAMES.get(opcode) ?? `operation ${opcode}`;
}

/** Flags of INIT, the lower 32 bits. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  PARALLEL_DIROPS: 1 << 18,
  /** `flags2` is there. */
  INIT_EXT: 1 << 30,
} as const;

/** Flags of INIT, the upper 32 bits. */
export const InitFlag2 = {
  /** FUSE_HAS_RESEND, bit 39. */
  HAS_RESEND: 1 << 7,
  /** FUSE_REQUEST_TIMEOUT, bit 42. */
  REQUEST_TIMEOUT: 1 << 10,
} as const;

/** FATTR_*: which attributes SETATTR sets. */
export const SetattrValid = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  HANDLE: 1 << 6,
} as const;

/** FUSE_GETATTR_FH. */
export const GETATTR_HANDLE = 1;

/** FOPEN_DIRECT_IO: reads and writes bypass the page cache. */
export const OPEN_DIRECT_IO = 1;

/** FUSE_NOTIFY_INC_EPOCH (Linux 6.16): the kernel looks every cached name up again. */
export const NOTIFY_INC_EPOCH = 8;
/** FUSE_NOTIFY_RESEND: the kernel sends the requests again that were read but not answered. */
export const NOTIFY_RESEND = 7;
