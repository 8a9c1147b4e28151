/**
 * Opens a file that is given as a config.db: a database, an SQL dump of one, either of them
 * gzipped, or any other file. Opened for reading only; unpacked in memory, with a limit.
 */
import { gunzipSync } from "node:zlib";
import { errorText } from "../../base/error-text.ts";
import { behindLinks, InputFile, MemoryFile, type ByteSource } from "../store/sqlite/input-file.ts";
import { looksLikeDump } from "./sql-dump.ts";

/** Bound on a dump and on an unpacked file; pmxcfs's tree is bounded at 128 MiB. */
const UNPACKED_BYTES = 512 * 1024 * 1024;
const GZIP = Buffer.from("1f8b", "hex");

export interface RescueSource extends Disposable {
  readonly kind: "database" | "dump";
  /** The file was gzipped. */
  readonly isPacked: boolean;
  readonly bytes: ByteSource;
  /** The path beside which -wal and -journal are; undefined for an unpacked file. */
  readonly path: string | undefined;
  /** Why the gzip data could not be unpacked completely. */
  readonly problem?: string;
}

function whole(bytes: ByteSource): Buffer {
  const content = Buffer.alloc(Math.min(bytes.size(), UNPACKED_BYTES));
  return content.subarray(0, bytes.read(content, 0));
}

/** The content of a gzipped file, as far as it can be unpacked. */
function unpacked(packed: Buffer): { readonly bytes: Buffer; readonly problem?: string } {
  try {
    return { bytes: gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES }) };
  } catch (error) {
    try {
      // Z_SYNC_FLUSH: what can be unpacked, although the end is missing.
      const bytes = gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES, finishFlush: 2 });
      return { bytes, problem: `it cannot be unpacked to its end (${errorText(error)})` };
    } catch {
      return { bytes: Buffer.alloc(0), problem: `it cannot be unpacked (${errorText(error)})` };
    }
  }
}

/** The source; or a text that says why it cannot be read: `no such file`, `it is a directory`. */
export function openSource(path: string): RescueSource | string {
  const file = InputFile.open(path);
  if (typeof file === "string") return file;
  const start = Buffer.alloc(512);
  const head = start.subarray(0, file.read(start, 0));
  const common = { [Symbol.dispose]: () => file[Symbol.dispose]() };
  if (head.subarray(0, 2).equals(GZIP)) {
    const { bytes, problem } = unpacked(whole(file));
    const kind = looksLikeDump(bytes.subarray(0, 512)) ? "dump" : "database";
    const damage = problem === undefined ? {} : { problem };
    return {
      ...common,
      ...damage,
      kind,
      isPacked: true,
      bytes: new MemoryFile(bytes),
      path: undefined,
    };
  }
  const kind = looksLikeDump(head) ? "dump" : "database";
  return { ...common, kind, isPacked: false, bytes: file, path: behindLinks(path) };
}

/** All bytes of a source, as latin1. */
export function textOfSource({ bytes }: RescueSource): string {
  return whole(bytes).toString("latin1");
}
