/**
 * State of the -wal beside a config.db, for reports and for salvage: its frames, how many are
 * valid, whether they belong to this file, when it was last written; and its page images, torn and
 * uncommitted ones too.
 */
import { counted } from "../../base/counted.ts";
import { hasForeignLog } from "../store/served-names.ts";
import { InputFile, type ByteSource } from "../store/sqlite/input-file.ts";
import { FRAME_HEADER_BYTES, WAL_HEADER_BYTES, WalFrames } from "../store/sqlite/wal-frames.ts";
import type { Row } from "../store/tree-rows.ts";

/** For a -wal whose header is invalid: SQLite's default, which pmxcfs uses. */
const DEFAULT_PAGE_BYTES = 4096;

export interface WalReport {
  readonly bytes: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** Frames that fit the size of the file. */
  readonly frames: number;
  /** Frames with the right salts and checksums, from the first on. */
  readonly valid: number;
  /** Those up to the last commit: what SQLite reads. */
  readonly committed: number;
  /** Why no frame counts, if the header is invalid. */
  readonly problem?: string;
  /** `older`: the file has newer rows; `other`: it was written for another database. */
  belongs: "yes" | "older" | "other" | "unknown";
}

export interface OpenWal extends Disposable {
  readonly file: InputFile;
  readonly report: WalReport;
  /** Undefined when the header is invalid. */
  readonly frames: WalFrames | undefined;
}

/** Undefined when there is no -wal; a text when it is not a regular file, or is not read. */
export function openWal(path: string): OpenWal | string | undefined {
  const file = InputFile.open(`${path}-wal`);
  if (file === "no such file") return undefined;
  if (typeof file === "string") return file;
  if (hasForeignLog(path)) {
    file[Symbol.dispose]();
    return (
      "it is not read, as it is that of another file, which a server served until it was killed " +
      `(\`config export --db ${path}.served\`): a start of pmxcfs-ipc keeps both; the original ` +
      "pmxcfs would apply it to this file"
    );
  }
  const { size, mtimeMs } = file.stamp();
  const wal = WalFrames.open(file);
  const common = { bytes: size, mtime: Math.floor(mtimeMs / 1000), belongs: "unknown" } as const;
  const dispose = { [Symbol.dispose]: () => file[Symbol.dispose]() };
  if (typeof wal === "string") {
    const frames = Math.max(
      0,
      Math.floor((size - WAL_HEADER_BYTES) / (FRAME_HEADER_BYTES + DEFAULT_PAGE_BYTES)),
    );
    const report = { ...common, frames, valid: 0, committed: 0, problem: wal };
    return { ...dispose, file, report, frames: undefined };
  }
  while (wal.advance());
  const frames = Math.floor((size - WAL_HEADER_BYTES) / wal.frameBytes);
  const report = { ...common, frames, valid: wal.valid, committed: wal.committed };
  return { ...dispose, file, report, frames: wal };
}

/** Every page image in the file, whether its frame is valid or not. */
export function* frameImages(file: ByteSource, pageBytes: number): Generator<Buffer> {
  const frame = FRAME_HEADER_BYTES + pageBytes;
  const size = file.size();
  for (let at = WAL_HEADER_BYTES; at + FRAME_HEADER_BYTES < size; at += frame) {
    const page = Buffer.alloc(pageBytes);
    if (file.read(page, at + FRAME_HEADER_BYTES) > 0) yield page;
  }
}

/**
 * Which database the frames belong to, from the rows of the file alone and of file and log
 * together. Every commit of pmxcfs writes row 0, so a log of this file has at least one page of the
 * table.
 */
export function ownerOf(
  alone: ReadonlyMap<number, Row>,
  together: ReadonlyMap<number, Row>,
  hasTablePage: boolean,
): WalReport["belongs"] {
  if (!hasTablePage) return "other";
  if (alone.size === 0) return "unknown";
  let isOlder = false;
  for (const row of alone.values()) {
    const other = together.get(row.inode);
    if (other === undefined) continue;
    if (other.version < row.version) isOlder = true;
    const isSame = other.parent === row.parent && other.name === row.name;
    const hasSameBytes = Buffer.compare(other.data, row.data) === 0;
    if (other.version === row.version && row.inode !== 0 && !(isSame && hasSameBytes))
      return "other";
  }
  return isOlder ? "older" : "yes";
}

/** One line: `config.db-wal: 3 frames, 2 of them valid, 2 committed, last written ...`. */
export function describeWal(path: string, report: WalReport): string {
  const { bytes, frames, valid, committed, problem, belongs, mtime } = report;
  const written = `last written ${new Date(mtime * 1000).toISOString().slice(0, 19)}Z`;
  const counts = `${counted(frames, "frame")}, ${valid} valid, ${committed} committed`;
  const head = `${path}-wal: ${counted(bytes, "byte")}, ${counts}`;
  const why = problem === undefined ? "" : ` (${problem})`;
  const whose = {
    yes: "it belongs to this file and is read with it",
    older: "it is older than the file: it was left by an earlier state of it",
    other: "it was written for another database",
    unknown: "it is not known whether it belongs to this file",
  }[belongs];
  const what = committed === 0 ? "nothing in it counts" : whose;
  return `${head}${why}, ${written}: ${what}`;
}
