/**
 * The pages of a database as a reader sees them: those of the file, overlaid by the committed
 * frames of its -wal or by the pages that a rollback journal restores. Never locks, never writes.
 */
import type { ByteSource } from "./input-file.ts";
import { Malformed } from "./malformed.ts";
import type { JournalPages } from "./rollback-journal.ts";
import type { WalFrames } from "./wal-frames.ts";

const MAGIC = "SQLite format 3\0";
export const HEADER_BYTES = 100;

/** How texts are stored. */
export type TextEncoding = "utf8" | "utf16le" | "utf16be";

/** Page images outside the database file. */
export interface Overlay {
  readonly file: ByteSource;
  readonly log: WalFrames | JournalPages;
}

/** Checks the header fields that SQLite checks; returns sizes, or a text in SQLite's words. */
function parseHeader(header: Buffer): { pageBytes: number; usable: number } | string {
  const stored = header.readUInt16BE(16);
  const pageBytes = stored === 1 ? 65_536 : stored;
  const isSize = pageBytes >= 512 && (pageBytes & (pageBytes - 1)) === 0;
  const fractions = header[21] === 64 && header[22] === 32 && header[23] === 32;
  if (header.toString("latin1", 0, 16) !== MAGIC || !isSize || !fractions) {
    return "file is not a database";
  }
  const usable = pageBytes - (header[20] ?? 0);
  return usable < 480 ? "file is not a database" : { pageBytes, usable };
}

export class PageSource {
  readonly #file: ByteSource;
  readonly #overlay: Overlay | undefined;
  readonly pageBytes: number;
  /** Bytes of a page without the reserved space at its end. */
  readonly usable: number;
  readonly encoding: TextEncoding;
  readonly pageCount: number;

  private constructor(
    file: ByteSource,
    overlay: Overlay | undefined,
    header: Buffer,
    sizes: { readonly pageBytes: number; readonly usable: number },
    pageCount: number,
  ) {
    this.#file = file;
    this.#overlay = overlay;
    this.pageBytes = sizes.pageBytes;
    this.usable = sizes.usable;
    const encoding = header.readUInt32BE(56) & 3;
    this.encoding = encoding === 2 ? "utf16le" : encoding === 3 ? "utf16be" : "utf8";
    this.pageCount = pageCount;
  }

  /** `pageBytes` overrides a wrong page size in the header. A text in SQLite's words on failure. */
  static open(
    file: ByteSource,
    overlay: Overlay | undefined,
    pageBytes?: number,
  ): PageSource | string {
    const header = Buffer.alloc(HEADER_BYTES);
    const inLog = overlay?.log.pages.get(1);
    const got =
      inLog === undefined ? file.read(header, 0) : (overlay?.file.read(header, inLog) ?? 0);
    // The missing bytes of a shorter file count as zeros.
    header.fill(0, got);
    const parsed = pageBytes === undefined ? parseHeader(header) : { pageBytes, usable: pageBytes };
    if (typeof parsed === "string") return parsed;
    if (overlay !== undefined && overlay.log.pageBytes !== parsed.pageBytes) overlay = undefined;
    const inFile = Math.ceil(file.size() / parsed.pageBytes);
    const pages = overlay === undefined ? headerPages(header, inFile) : overlay.log.databasePages;
    if (pageBytes === undefined && overlay === undefined && pages > inFile) return malformedText();
    return new PageSource(file, overlay, header, parsed, pageBytes === undefined ? pages : inFile);
  }

  /** A copy of page `number` (from 1). Throws Malformed when it does not exist. */
  page(number: number): Buffer {
    if (number < 1 || number > this.pageCount) throw new Malformed();
    const page = Buffer.allocUnsafe(this.pageBytes);
    const inLog = this.#overlay?.log.pages.get(number);
    const got =
      inLog === undefined
        ? this.#file.read(page, (number - 1) * this.pageBytes)
        : (this.#overlay?.file.read(page, inLog) ?? 0);
    // The file may be shorter than the -wal says: SQLite reads zeros there.
    return got < this.pageBytes ? page.fill(0, got) : page;
  }
}

const malformedText = (): string => new Malformed().message;

/** The page count in the header, if it is valid; otherwise that of the file's length. */
function headerPages(header: Buffer, inFile: number): number {
  const counted = header.readUInt32BE(28);
  const isKept = counted > 0 && header.compare(header, 92, 96, 24, 28) === 0;
  return isKept ? counted : inFile;
}
