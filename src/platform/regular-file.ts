/**
 * Opens files that another user may have replaced: a FIFO would block the process forever, a device
 * may have no end, a file may be larger than memory. Only a regular file is opened, and the size of
 * a read is limited.
 */
import { errorCode } from "../base/error-text.ts";
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readSync,
  statSync,
  type Stats,
} from "node:fs";
import { open, stat } from "node:fs/promises";

/**
 * O_NONBLOCK: if the file is replaced by a FIFO between check and open, the open does not block.
 */
const SAFE = constants.O_NONBLOCK | constants.O_NOCTTY;

const CHUNK_BYTES = 64 * 1024;

/** Default limit of a read. */
const USUAL_BYTES = 16 * 1024 * 1024;

function refusal(code: string, text: string): Error {
  return Object.assign(new Error(text), { code });
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "directory";
  if (stats.isFIFO()) return "FIFO";
  return stats.isSocket() ? "socket" : "device";
}

function demandRegular(path: string, stats: Stats | undefined): void {
  if (stats === undefined || stats.isFile()) return;
  const code = stats.isDirectory() ? "EISDIR" : "EINVAL";
  throw refusal(code, `${path} is a ${kindOf(stats)}, not a regular file`);
}

/**
 * Opens a regular file; `flags` and `mode` as for open(2). Throws what openSync throws, and EISDIR
 * or EINVAL for any other kind of file, without opening it: the open of a device may have effects.
 */
export function openRegularFile(path: string, flags: number, mode?: number): number {
  demandRegular(path, statSync(path, { throwIfNoEntry: false }));
  const fd = openSync(path, flags | SAFE, mode);
  try {
    demandRegular(path, fstatSync(fd));
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

/**
 * The read of a whole file, whoever makes its system calls: yields memory to read into, takes the
 * number of bytes that were read, and returns all of them. Throws EFBIG for more than `mostBytes`.
 */
function* whole(
  path: string,
  { size }: Stats,
  mostBytes: number,
): Generator<Buffer, Buffer, number> {
  const chunks: Buffer[] = [];
  let isTooLarge = size > mostBytes;
  for (let total = 0; !isTooLarge; isTooLarge = total > mostBytes) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const got = yield chunk;
    if (got === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, got));
    total += got;
  }
  throw refusal("EFBIG", `${path} has more than ${mostBytes} bytes`);
}

/**
 * Reads a whole regular file, even if its st_size is 0 (/proc). Throws as `openRegularFile`, and
 * EFBIG if it has more than `mostBytes`.
 */
export function readRegularFile(path: string, mostBytes = USUAL_BYTES): Buffer {
  const fd = openRegularFile(path, constants.O_RDONLY);
  try {
    const reading = whole(path, fstatSync(fd), mostBytes);
    let step = reading.next();
    while (step.done !== true) {
      step = reading.next(readSync(fd, step.value, 0, step.value.length, null));
    }
    return step.value;
  } finally {
    closeSync(fd);
  }
}

/**
 * As `readRegularFile`, but each system call is made by another thread: one that sleeps in the
 * kernel (a hung disk, /proc/PID/cmdline of a process whose memory is locked) does not block this
 * one.
 */
export async function readRegularFileAsync(path: string, mostBytes = USUAL_BYTES): Promise<Buffer> {
  demandRegular(path, await stat(path));
  await using file = await open(path, constants.O_RDONLY | SAFE);
  const opened = await file.stat();
  demandRegular(path, opened);
  const reading = whole(path, opened, mostBytes);
  let step = reading.next();
  while (step.done !== true) {
    const { bytesRead } = await file.read(step.value, 0, step.value.length, null);
    step = reading.next(bytesRead);
  }
  return step.value;
}

/**
 * Sets the mode of a file to 0600. A symlink is not followed: by one, the owner of the directory
 * could have the mode of another file changed. Throws the errors of open(2) and fchmod(2).
 */
export function makePrivate(path: string): void {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | SAFE);
  } catch (error) {
    if (errorCode(error) === "ELOOP") return;
    throw error;
  }
  try {
    if (fstatSync(fd).isFile()) fchmodSync(fd, 0o600);
  } finally {
    closeSync(fd);
  }
}

/** Suffixes of the files that SQLite opens for a database, without checking their type. */
const SIDE_FILES = ["", "-wal", "-shm", "-journal"];

/**
 * Throws if the database `file`, or a file that SQLite opens with it, exists and is not a regular
 * file: SQLite would block in the open of a FIFO.
 */
export function demandRegularDatabase(file: string): void {
  for (const suffix of SIDE_FILES) {
    demandRegular(file + suffix, statSync(file + suffix, { throwIfNoEntry: false }));
  }
}
