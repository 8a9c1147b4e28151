/**
 * The ring directories in /dev/shm, as libqb and as ours name them: whose they are, whether their
 * server lives, how much they hold, and what stands in their request ring (WIRE.md 3, 6). Read
 * with plain file reads: nothing is mapped, nothing is changed.
 */
import { constants } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { RingHeader } from "../../wire/qb.ts";
import type { ProcessInfo } from "./processes.ts";
import { readProcess } from "./processes.ts";

export interface RingDirectoryInfo {
  readonly name: string;
  readonly path: string;
  readonly serverPid: number;
  /** 0: made ahead, no client yet. */
  readonly clientPid: number;
  /** Undefined when its files may not be listed. */
  readonly service: string | undefined;
  /** What it takes of the file system. */
  readonly bytes: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly server: ProcessInfo | undefined;
  /** Names like ours rather than like libqb's. */
  readonly ours: boolean;
}

const DIRECTORY = /^qb-(\d+)-(\d+)-\d+-(\w{6,})$/;
const RING_FILE = /^qb-(?:request|response|event)-(.+)-(?:header|data)$/;

/** Blocks of st_blocks (stat(2)). */
const BLOCK_BYTES = 512;

const WORD_BYTES = 4;

/** libqb's mkdtemp ends in six characters, ours in twelve hex digits. */
const OUR_SUFFIX = /^[0-9a-f]{12}$/;

async function filesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch {
    // Another uid's, or gone.
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
  shm: string,
  proc: string,
  name: string,
): Promise<RingDirectoryInfo | undefined> {
  const [, server, client, suffix = ""] = DIRECTORY.exec(name) ?? [];
  if (server === undefined) return undefined;
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
      serverPid: Number(server),
      clientPid: Number(client),
      service: services[0],
      bytes: sizes.reduce((sum, size) => sum + size, 0),
      uid: found.uid,
      gid: found.gid,
      mode: found.mode & 0o7777,
      server: readProcess(proc, Number(server)),
      ours: OUR_SUFFIX.test(suffix),
    };
  } catch {
    // It went away while we looked.
    return undefined;
  }
}

/** All ring directories below `shm`. */
export async function readRings(shm: string, proc: string): Promise<RingDirectoryInfo[]> {
  const names = await filesIn(shm);
  const all = await Promise.all(names.map((name) => inspect(shm, proc, name)));
  return all.filter((ring) => ring !== undefined);
}

/** The state of a request ring. */
export interface RingState {
  readonly writeIndex: number;
  readonly readIndex: number;
  readonly flowControl: number;
}

/** What stands in the header of the request ring; undefined when it may not be read. */
export async function readRingState(ring: RingDirectoryInfo): Promise<RingState | undefined> {
  const path = `${ring.path}/qb-request-${ring.service ?? ""}-header`;
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
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
