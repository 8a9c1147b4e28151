/**
 * Answers: a header and a body, encoded into one buffer per session. File content is not copied:
 * writev takes it from where it lies.
 */
import type { Errno } from "../base/errno.ts";
import type { Attributes, Created, FileSystemFigures, Opened } from "./file-system.ts";
import {
  AttributesOut,
  Dirent,
  EntryOut,
  OpenOut,
  OutHeader,
  StatfsOut,
  WriteOut,
} from "./layouts.ts";
import { OPEN_DIRECT_IO } from "./opcodes.ts";
import { newSpan, type Span } from "../wire/struct.ts";

/**
 * Most bytes of a listing in one READDIR answer: what glibc asks for. The kernel allows 128 KiB,
 * which are 4,000 entries and 2 to 6 ms in a server that has just started.
 */
const LISTING_BYTES = 32 * 1024;

/** st_blksize, and the unit of statfs. */
const BLOCK_BYTES = 4096;
/** The unit of st_blocks (stat(2)). */
const SECTOR_BYTES = 512;
const DIRENT_ALIGN = 8;
const NO_BYTES = new Uint8Array(0);

/** Writes the fields that entry and attribute answers share. */
function putAttributes(
  write: typeof EntryOut.write | typeof AttributesOut.write,
  span: Span,
  { node, mode, nlink, uid, gid, size, mtime }: Attributes,
): void {
  write.inode(span, node);
  write.size(span, size);
  write.blocks(span, Math.ceil(size / SECTOR_BYTES));
  write.atime(span, mtime);
  write.mtime(span, mtime);
  write.ctime(span, mtime);
  write.mode(span, mode);
  write.nlink(span, nlink);
  write.uid(span, uid);
  write.gid(span, gid);
  write.blockSize(span, BLOCK_BYTES);
}

/** One answer at a time: one of the methods fills it, then the session sends it. */
export class Answer {
  readonly #span = newSpan(OutHeader.size + LISTING_BYTES);
  readonly #body: Span = { ...this.#span, at: OutHeader.size };
  #size = 0;
  #content: Uint8Array = NO_BYTES;

  /** The buffer; its first `size` bytes are the header and the body. */
  get bytes(): Buffer {
    return this.#span.bytes;
  }

  /** Bytes of the header and the body. */
  get size(): number {
    return OutHeader.size + this.#size;
  }

  /** Sent after the body. */
  get content(): Uint8Array {
    return this.#content;
  }

  /** Writes the header. With an errno, body and content are dropped. */
  seal(uniqueLow: number, uniqueHigh: number, error: number): void {
    if (error < 0) this.empty();
    const { write } = OutHeader;
    write.length(this.#span, this.size + this.#content.length);
    write.error(this.#span, error);
    write.uniqueLow(this.#span, uniqueLow);
    write.uniqueHigh(this.#span, uniqueHigh);
  }

  /** Zeroes a body of `size` bytes and returns it. */
  fill(size: number): Span {
    this.#content = NO_BYTES;
    this.#size = size;
    this.#span.bytes.fill(0, OutHeader.size, OutHeader.size + size);
    return this.#body;
  }

  empty(): void {
    this.#content = NO_BYTES;
    this.#size = 0;
  }

  entry(attributes: Attributes): void {
    this.#entry(attributes, EntryOut.size);
  }

  #entry(attributes: Attributes, size: number): void {
    const body = this.fill(size);
    const { write } = EntryOut;
    write.node(body, attributes.node);
    write.entryValid(body, attributes.validSeconds);
    write.attributesValid(body, attributes.validSeconds);
    putAttributes(write, body, attributes);
  }

  attributes(attributes: Attributes): void {
    const body = this.fill(AttributesOut.size);
    AttributesOut.write.valid(body, attributes.validSeconds);
    putAttributes(AttributesOut.write, body, attributes);
  }

  opened(opened: Opened): void {
    this.#opened(this.fill(OpenOut.size), opened);
  }

  created({ attributes, ...opened }: Created): void {
    this.#entry(attributes, EntryOut.size + OpenOut.size);
    this.#opened({ ...this.#body, at: this.#body.at + EntryOut.size }, opened);
  }

  #opened(body: Span, { handle, direct }: Opened): void {
    OpenOut.write.handle(body, handle);
    OpenOut.write.openFlags(body, direct ? OPEN_DIRECT_IO : 0);
  }

  written(size: number): void {
    WriteOut.write.size(this.fill(WriteOut.size), size);
  }

  /** File content or a link's target; not copied. */
  data(content: Uint8Array): void {
    this.#size = 0;
    this.#content = content;
  }

  figures(figures: FileSystemFigures): void {
    const body = this.fill(StatfsOut.size);
    const { write } = StatfsOut;
    write.blocks(body, figures.blocks);
    write.blocksFree(body, figures.blocksFree);
    write.blocksAvailable(body, figures.blocksFree);
    write.files(body, figures.files);
    write.filesFree(body, figures.filesFree);
    write.blockSize(body, figures.blockSize);
    write.fragmentSize(body, figures.blockSize);
    write.nameLength(body, figures.nameLength);
  }

  /** Starts an empty listing; `add` appends entries. */
  listing(): void {
    this.empty();
  }

  /** Appends one entry; false when the listing would exceed `most` bytes. */
  add(most: number, name: string, node: number, type: number, offset: number): boolean {
    const unpadded = Dirent.size + name.length;
    const size = Math.ceil(unpadded / DIRENT_ALIGN) * DIRENT_ALIGN;
    if (this.#size + size > Math.min(most, LISTING_BYTES)) return false;
    const at = OutHeader.size + this.#size;
    const entry: Span = { ...this.#span, at };
    Dirent.write.inode(entry, node);
    Dirent.write.offset(entry, offset);
    Dirent.write.nameLength(entry, name.length);
    Dirent.write.type(entry, type);
    this.#span.bytes.write(name, at + Dirent.size, "latin1");
    this.#span.bytes.fill(0, at + unpadded, at + size);
    this.#size += size;
    return true;
  }
}

/** Whether a result is an errno. */
export function isErrno(result: unknown): result is Errno {
  return typeof result === "number" && result < 0;
}
