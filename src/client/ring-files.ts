/**
 * The server's ring files, opened by a client: paths, owners and sizes are read once and checked
 * before anything is mapped. Removes the files only if their server is dead, as libqb's client does
 * (ipc_shm.c, qb_rb_force_close).
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { Errno, errnoName, errnoOf } from "../base/errno.ts";
import { SHM } from "../shm/ring-directory.ts";
import { addReference, RING_NAMES, ringDataBytes, RingSet } from "../shm/ring-set.ts";
import type { RingFiles } from "../shm/ring-set.ts";
import { closeDescriptor, Directory, fileSize, openFile } from "../platform/files.ts";
import { PAGE_BYTES } from "../platform/memory.ts";
import { RingHeader } from "../wire/qb.ts";
import { QbFailure } from "./failure.ts";
import type { Accepted } from "./handshake.ts";

/** Smallest header file: libqb's own clients truncate some header files to this size. */
const MIN_HEADER_BYTES = RingHeader.flowControl + 8;

/** The location of the files, for a client whose server has died. */
export interface RingPlace {
  readonly directory: string;
  readonly files: readonly { readonly name: string; readonly identity: string }[];
}

export interface Attached {
  readonly set: RingSet;
  readonly place: RingPlace;
}

function notSane(what: string): QbFailure {
  return new QbFailure("files", Errno.EPROTO, `the server's ring files are not sane: ${what}`);
}

/** The parts of `/dev/shm/DIRECTORY/STEM`; undefined for any other path. */
function split(prefix: string): { directory: string; stem: string } | undefined {
  const found = /^\/dev\/shm\/([^/]+)\/([^/]+)$/.exec(prefix);
  const [, directory = "", stem = ""] = found ?? [];
  const plain = directory !== "" && directory !== "." && directory !== "..";
  return found !== null && plain ? { directory, stem } : undefined;
}

/** The directory of the rings, and the names of their files in it. */
interface Names {
  readonly directory: string;
  readonly names: readonly string[];
}

function namesOf(prefixes: Accepted["prefixes"]): Names | QbFailure {
  const names: string[] = [];
  let directory: string | undefined;
  for (const ring of RING_NAMES) {
    const parts = split(prefixes[ring]);
    if (parts === undefined || (directory !== undefined && parts.directory !== directory)) {
      return notSane(`"${prefixes[ring]}" is not in one directory below ${SHM}`);
    }
    directory = parts.directory;
    names.push(`${parts.stem}-header`, `${parts.stem}-data`);
  }
  return { directory: directory ?? "", names };
}

/** What identifies an open file whatever its name. */
function identityOf(fd: number): string {
  const { dev, ino } = fstatSync(fd);
  return `${dev}:${ino}`;
}

function wordCountOf(header: number): number {
  const word = new Uint32Array(1);
  readSync(header, word, 0, word.byteLength, RingHeader.wordCount);
  return word[0] ?? 0;
}

/** O_PATH, which node:fs lacks: a client may search the directory of its rings, but not list it. */
const O_PATH = 0o10_000_000;

/** The open directory of the rings. */
interface RingParent {
  readonly fd: number;
  readonly uid: number;
}

function openParent(directory: string): RingParent | QbFailure {
  const path = `${SHM}/${directory}`;
  try {
    // The name is latin1: it comes from a peer.
    const bytes = Buffer.from(path, "latin1");
    const fd = openSync(bytes, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    return { fd, uid: fstatSync(fd).uid };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return new QbFailure("files", errnoOf(code), `cannot open ${path}`);
  }
}

/**
 * Opens one file; returns its descriptor. It must belong to the server, or to us if the server has
 * given it away: root, or one with CAP_CHOWN, in whose directory it then has its only name. Another
 * user's server could name files of ours, such as the rings of another connection.
 */
function open(
  prefix: string,
  suffix: "-header" | "-data",
  parent: RingParent,
  { server, uid: own }: Accepted,
): number | QbFailure {
  const path = prefix + suffix;
  const fd = openFile(`/proc/self/fd/${parent.fd}/${basename(path)}`);
  if (fd < 0) {
    const hint = fd === Errno.EACCES ? " (the server could not give it to this user)" : "";
    return new QbFailure("files", fd as Errno, `cannot open ${path}${hint}`);
  }
  const { uid, nlink } = fstatSync(fd);
  const isGiven = uid === own && (server.uid === 0 || (server.uid === parent.uid && nlink === 1));
  if (uid === server.uid || isGiven) return fd;
  closeDescriptor(fd);
  return notSane(`${path} belongs to uid ${uid}, and the server has uid ${server.uid}`);
}

function openRing(
  prefix: string,
  parent: RingParent,
  accepted: Accepted,
  opened: number[],
): RingFiles | QbFailure {
  const { maxMessageBytes } = accepted;
  const header = open(prefix, "-header", parent, accepted);
  if (header instanceof QbFailure) return header;
  opened.push(header);
  const data = open(prefix, "-data", parent, accepted);
  if (data instanceof QbFailure) return data;
  opened.push(data);
  const headerBytes = fileSize(header);
  if (headerBytes < MIN_HEADER_BYTES) return notSane(`a header of ${headerBytes} bytes`);
  const dataBytes = wordCountOf(header) * 4;
  // libqb rounds the message size up to pages; a factor of 2 allows for other versions' margins.
  const most = 2 * ringDataBytes(maxMessageBytes);
  if (dataBytes < maxMessageBytes || dataBytes > most || dataBytes % PAGE_BYTES !== 0) {
    return notSane(`a ring of ${dataBytes} bytes for messages of ${maxMessageBytes}`);
  }
  const size = fileSize(data);
  if (size < dataBytes) return notSane(`${size} bytes of data where the header says ${dataBytes}`);
  return { header, data, dataBytes };
}

/** Opens, checks and maps the three rings, and adds our reference to each. */
export function attach(accepted: Accepted): Attached | QbFailure {
  const named = namesOf(accepted.prefixes);
  if (named instanceof QbFailure) return named;
  const parent = openParent(named.directory);
  if (parent instanceof QbFailure) return parent;
  const opened: number[] = [];
  try {
    const files: RingFiles[] = [];
    for (const ring of RING_NAMES) {
      const ringFiles = openRing(accepted.prefixes[ring], parent, accepted, opened);
      if (ringFiles instanceof QbFailure) return ringFiles;
      files.push(ringFiles);
    }
    const set = RingSet.map(files as [RingFiles, RingFiles, RingFiles]);
    if (typeof set === "number") {
      return new QbFailure("files", set, `cannot map the ring files: ${errnoName(set)}`);
    }
    for (const ring of RING_NAMES) addReference(set.rings[ring]);
    const mapped = named.names.map((name, at) => ({
      name,
      identity: identityOf(opened[at] ?? -1),
    }));
    return { set, place: { directory: named.directory, files: mapped } };
  } finally {
    closeSync(parent.fd);
    for (const fd of opened) closeDescriptor(fd);
  }
}

/**
 * Removes the files of a dead server. Truncates those that we may not remove, so that at least
 * their memory is freed, but only the files that we mapped: whoever owns the directory may have
 * replaced it by a symlink.
 */
export function removeFiles({ directory, files }: RingPlace): void {
  using shm = asDisposable(Directory.open(SHM));
  using sub = asDisposable(shm.value?.openSub(directory));
  for (const { name, identity } of files) {
    if (sub.value?.unlink(name) === 0) continue;
    const fd = openFile(`${SHM}/${directory}/${name}`);
    if (fd < 0) continue;
    if (identityOf(fd) === identity) ftruncateSync(fd, 0);
    closeDescriptor(fd);
  }
  shm.value?.removeSub(directory);
}

function asDisposable(opened: Directory | Errno | undefined): Disposable & { value?: Directory } {
  if (!(opened instanceof Directory)) return { [Symbol.dispose]: () => {} };
  return { value: opened, [Symbol.dispose]: () => opened[Symbol.dispose]() };
}
