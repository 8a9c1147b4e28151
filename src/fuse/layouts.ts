/**
 * The structures of the kernel's FUSE protocol (linux/fuse.h), as data. Checked against the
 * kernel's header by test/fuse/layout.test.ts. Node ids, offsets and sizes are u64 of which only
 * values below 2^53 occur; `unique` is kept as two words and copied back.
 */
import { i32, prefix, struct, u16, u32, u53 } from "../wire/struct.ts";

/** fuse_in_header: the start of every request. */
export const InHeader = struct({
  length: u32,
  opcode: u32,
  uniqueLow: u32,
  uniqueHigh: u32,
  node: u53,
  uid: u32,
  gid: u32,
  pid: u32,
  /** Length of extensions at the end, in units of 8 bytes; none are asked for. */
  extensions: u16,
  padding: u16,
});

/** fuse_out_header: the start of every answer; `error` is 0 or a negative errno. */
export const OutHeader = struct({ length: u32, error: i32, uniqueLow: u32, uniqueHigh: u32 });

const ATTRIBUTES = {
  inode: u53,
  size: u53,
  blocks: u53,
  atime: u53,
  mtime: u53,
  ctime: u53,
  atimeNs: u32,
  mtimeNs: u32,
  ctimeNs: u32,
  mode: u32,
  nlink: u32,
  uid: u32,
  gid: u32,
  device: u32,
  blockSize: u32,
  flags: u32,
} as const;

/** fuse_entry_out, with its fuse_attr. */
export const EntryOut = struct({
  node: u53,
  generation: u53,
  entryValid: u53,
  attributesValid: u53,
  entryValidNs: u32,
  attributesValidNs: u32,
  ...ATTRIBUTES,
});

/** fuse_attr_out, with its fuse_attr. */
export const AttributesOut = struct({
  valid: u53,
  validNs: u32,
  padding: u32,
  ...ATTRIBUTES,
});

export const InitIn = struct({
  major: u32,
  minor: u32,
  maxReadahead: u32,
  flags: u32,
  /** From 7.36 on. */
  flags2: u32,
});

export const InitOut = struct({
  major: u32,
  minor: u32,
  maxReadahead: u32,
  flags: u32,
  maxBackground: u16,
  congestionThreshold: u16,
  maxWrite: u32,
  timeGranularity: u32,
  maxPages: u16,
  mapAlignment: u16,
  flags2: u32,
  maxStackDepth: u32,
  /** Seconds; from 7.43 on. */
  requestTimeout: u16,
  unused0: u16,
  unused1: u32,
  unused2: u32,
  unused3: u32,
  unused4: u32,
  unused5: u32,
});

export const GetattrIn = struct({ flags: u32, padding: u32, handle: u53 });

export const SetattrIn = struct({
  valid: u32,
  padding: u32,
  handle: u53,
  size: u53,
  lockOwner: u53,
  atime: u53,
  /** Signed 64-bit seconds in the kernel; pmxcfs keeps the low word. */
  mtimeLow: u32,
  mtimeHigh: u32,
  ctime: u53,
  atimeNs: u32,
  mtimeNs: u32,
  ctimeNs: u32,
  mode: u32,
  unused4: u32,
  uid: u32,
  gid: u32,
  unused5: u32,
});

/** Followed by a name. */
export const MknodIn = prefix({ mode: u32, device: u32, umask: u32, padding: u32 });
/** Followed by a name. */
export const MkdirIn = prefix({ mode: u32, umask: u32 });
/** Followed by two names. */
export const RenameIn = prefix({ directory: u53 });
/** Followed by two names. */
export const Rename2In = prefix({ directory: u53, flags: u32, padding: u32 });
export const OpenIn = struct({ flags: u32, openFlags: u32 });
export const OpenOut = struct({ handle: u53, openFlags: u32, backing: u32 });
/** Followed by a name. */
export const CreateIn = prefix({ flags: u32, mode: u32, umask: u32, openFlags: u32 });
export const ReleaseIn = struct({ handle: u53, flags: u32, releaseFlags: u32, lockOwner: u53 });

/** fuse_read_in, of READ and READDIR. */
export const ReadIn = struct({
  handle: u53,
  offset: u53,
  size: u32,
  readFlags: u32,
  lockOwner: u53,
  flags: u32,
  padding: u32,
});

/** Followed by `size` bytes. */
export const WriteIn = struct({
  handle: u53,
  offset: u53,
  size: u32,
  writeFlags: u32,
  lockOwner: u53,
  flags: u32,
  padding: u32,
});
export const WriteOut = struct({ size: u32, padding: u32 });

/** fuse_kstatfs; its last fields are reserved. */
export const StatfsOut = struct({
  blocks: u53,
  blocksFree: u53,
  blocksAvailable: u53,
  files: u53,
  filesFree: u53,
  blockSize: u32,
  nameLength: u32,
  fragmentSize: u32,
  padding: u32,
  spare0: u53,
  spare1: u53,
  spare2: u53,
});

export const ForgetIn = struct({ lookups: u53 });
/** Followed by `count` ForgetOne. */
export const BatchForgetIn = struct({ count: u32, padding: u32 });
export const ForgetOne = struct({ node: u53, lookups: u53 });
export const InterruptIn = struct({ uniqueLow: u32, uniqueHigh: u32 });

/** fuse_dirent, followed by the name and padding to 8 bytes. */
export const Dirent = prefix({ inode: u53, offset: u53, nameLength: u32, type: u32 });
