/**
 * The ring directories in /dev/shm, with libqb's names and with ours: their service, whether their
 * server runs (the rule is in shm/stale-directories), their size and the state of their request
 * ring; and removal of those that dead servers left. Reading maps no memory and changes nothing.
 */
import { PVE_SERVICE } from "../../base/paths.ts";
import { Directory } from "../../platform/files.ts";
import { parseDirectoryName } from "../../shm/ring-directory.ts";
import { type Liveness, StaleDirectories } from "../../shm/stale-directories.ts";
import { RingHeader } from "../../wire/qb.ts";
import type { Machine, Paths } from "./host.ts";
import { type ProcessInfo, readProcess } from "./proc.ts";
import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";

export interface RingDirectoryInfo {
  readonly name: string;
  readonly path: string;
  readonly serverPid: number;
  /** 0: prepared, without a client yet. */
  readonly clientPid: number;
  /** Undefined when its files may not be listed. */
  readonly service: string | undefined;
  /** Bytes of the file system that it uses. */
  readonly bytes: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly server: ProcessInfo | undefined;
  /** Whether its server runs; unknown if its pid is not visible from here. */
  readonly liveness: Liveness;
  /** Its name was made by our server, not by libqb. */
  readonly ours: boolean;
}

const RING_FILE = /^qb-(?:request|response|event)-(.+)-(?:header|data)$/;

/** Blocks of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;

const WORD_BYTES = 4;

async function filesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    // Another uid's, or gone.
    return [];
  }
}

/** The names of the ring directories. */
async function directoriesIn(shm: string): Promise<string[]> {
  try {
    const entries = await readdir(shm, { withFileTypes: true });
    const directories = entries.filter(
      (entry) => entry.isDirectory() && parseDirectoryName(entry.name) !== undefined,
    );
    return directories.map(({ name }) => name);
  } catch {
    // Not mounted, or not readable for us.
    return [];
  }
}

async function bytesOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).blocks * BLOCK_BYTES;
  } catch {
    return 0;
  }
}

async function inspect(
  { shm, proc }: Pick<Paths, "shm" | "proc">,
  name: string,
  stale: StaleDirectories,
): Promise<RingDirectoryInfo | undefined> {
  const parts = parseDirectoryName(name);
  if (parts === undefined) return undefined;
  const { serverPid, clientPid, isOurs } = parts;
  const path = `${shm}/${name}`;
  try {
    const found = await lstat(path);
    if (!found.isDirectory()) return undefined;
    const files = await filesIn(path);
    const sizes = await Promise.all(files.map((file) => bytesOf(`${path}/${file}`)));
    const services = files.flatMap((file) => RING_FILE.exec(file)?.[1] ?? []);
    return {
      name,
      path,
      serverPid,
      clientPid,
      service: services[0],
      bytes: sizes.reduce((total, size) => total + size, 0),
      uid: found.uid,
      gid: found.gid,
      mode: found.mode & 0o7777,
      server: readProcess(proc, serverPid),
      liveness: await stale.livenessOf(name),
      ours: isOurs,
    };
  } catch {
    // It was removed meanwhile.
    return undefined;
  }
}

/** All ring directories below `shm`; none when it cannot be listed. */
export async function readRings(paths: Pick<Paths, "shm" | "proc">): Promise<RingDirectoryInfo[]> {
  const opened = Directory.open(paths.shm);
  if (typeof opened === "number") return [];
  using directory = opened;
  const stale = new StaleDirectories(directory, paths.shm, paths.proc);
  const names = await directoriesIn(paths.shm);
  const all = await Promise.all(names.map((name) => inspect(paths, name, stale)));
  return all.filter((ring) => ring !== undefined);
}

const HEADER_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The state of a request ring. */
export interface RingState {
  readonly writeIndex: number;
  readonly readIndex: number;
  readonly flowControl: number;
}

/**
 * The state in the header of the request ring; undefined when it may not be read. Its client owns
 * the directory and may have put a FIFO there, whose open would block without O_NONBLOCK.
 */
export async function readRingState(ring: RingDirectoryInfo): Promise<RingState | undefined> {
  const path = `${ring.path}/qb-request-${ring.service ?? ""}-header`;
  try {
    await using file = await open(path, HEADER_FLAGS);
    if (!(await file.stat()).isFile()) return undefined;
    const bytes = Buffer.alloc(RingHeader.flowControl + WORD_BYTES);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    if (bytesRead < bytes.length) return undefined;
    return {
      writeIndex: bytes.readUInt32LE(RingHeader.writePt),
      readIndex: bytes.readUInt32LE(RingHeader.readPt),
      flowControl: bytes.readInt32LE(RingHeader.flowControl),
    };
  } catch {
    // Another uid's, or gone.
    return undefined;
  }
}

/** Dead directories of one kind, with their number and size. */
export interface DeadRings {
  readonly count: number;
  readonly bytes: number;
  readonly services: readonly string[];
  readonly rings: readonly RingDirectoryInfo[];
}

function sum(rings: readonly RingDirectoryInfo[]): DeadRings {
  const services = new Set(rings.flatMap((ring) => ring.service ?? []));
  const bytes = rings.reduce((total, ring) => total + ring.bytes, 0);
  return { count: rings.length, bytes, services: [...services].toSorted(), rings };
}

function isFamily(ring: RingDirectoryInfo, service: string): boolean {
  return ring.service === service || ring.service === PVE_SERVICE;
}

/** Directories whose server is gone: of `service` or pmxcfs, and of other libqb programs. */
export function deadRings(
  rings: readonly RingDirectoryInfo[],
  service: string,
): { ours: DeadRings; foreign: DeadRings } {
  const dead = rings.filter(({ liveness }) => liveness === "dead");
  const mine = dead.filter((ring) => isFamily(ring, service));
  return { ours: sum(mine), foreign: sum(dead.filter((ring) => !mine.includes(ring))) };
}

/**
 * Those of `service` or pmxcfs that have no process with their pid, and are not known to be dead.
 */
export function unknownRings(
  rings: readonly RingDirectoryInfo[],
  service: string,
): RingDirectoryInfo[] {
  return rings.filter((ring) => {
    return ring.liveness === "unknown" && ring.server === undefined && isFamily(ring, service);
  });
}

export interface Cleaning {
  readonly path: string;
  readonly bytes: number;
  /** Why it was kept; undefined when it was (or, in a dry run, would be) removed. */
  readonly kept?: string;
}

const UNSEEN = "whether its server lives cannot be seen from this pid namespace, or by this user";
const NOT_ITS_OWN = "it holds other files than a server's, or they cannot be removed";

/**
 * Removes (or with `dryRun` lists) directories that dead servers of `service` and of pmxcfs left.
 */
export async function cleanStale(
  { paths }: Machine,
  service: string,
  dryRun: boolean,
): Promise<Cleaning[]> {
  const rings = await readRings(paths);
  const opened = Directory.open(paths.shm);
  if (typeof opened === "number") return [];
  using directory = opened;
  const stale = new StaleDirectories(directory, paths.shm, paths.proc);
  const done: Cleaning[] = [];
  for (const { name, path, bytes, service: own = service } of deadRings(rings, service).ours
    .rings) {
    // Checked again: a server may have started meanwhile.
    const isGone = dryRun || ((await stale.livenessOf(name)) === "dead" && stale.remove(name, own));
    done.push(isGone ? { path, bytes } : { path, bytes, kept: NOT_ITS_OWN });
  }
  const kept = unknownRings(rings, service).map(({ path, bytes }) => ({
    path,
    bytes,
    kept: UNSEEN,
  }));
  return [...done, ...kept];
}
