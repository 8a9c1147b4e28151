/**
 * The three rings of a connection in one reservation: nine mappings (the data is mapped twice), one
 * ArrayBuffer, one guard slot. The set owns the memory; its rings are unusable once it is disposed.
 */
import { Errno } from "../base/errno.ts";
import { pages, Reservation } from "../platform/memory.ts";
import { CHUNK_MARGIN_BYTES, RingHeader, SEMAPHORE_SHARED } from "../wire/qb.ts";
import type { RingMemory } from "./ring.ts";

/** The rings in the order of their mappings, by their names in file names (ipc_shm.c). */
export const RING_NAMES = ["request", "response", "event"] as const;
export type RingName = (typeof RING_NAMES)[number];

const HEADER_BYTES = pages(RingHeader.fileBytes);

/** Mappings per connection: for each ring a header, and the data twice. */
export const MAPPINGS_PER_CONNECTION = 3 * RING_NAMES.length;

/** Most bytes of one set: offsets in it are unsigned 32-bit numbers. */
const MAX_SET_BYTES = 2 ** 32 - 1;

const NO_WORDS = new Int32Array(0);
const NO_BYTES = Buffer.alloc(0);

/** Descriptors of one ring's two files, and the size of its data (whole pages). */
export interface RingFiles {
  readonly header: number;
  readonly data: number;
  readonly dataBytes: number;
}

/** Address space of one ring: its header, and its data twice. */
function mappedBytes({ dataBytes }: RingFiles): number {
  return HEADER_BYTES + 2 * dataBytes;
}

class Memory implements RingMemory {
  words: Int32Array;
  bytes: Buffer;
  readonly headerWord: number;
  readonly dataWord: number;
  readonly wordCount: number;
  readonly semaphoreAddress: number;

  constructor(words: Int32Array, bytes: Buffer, base: number, offset: number, dataBytes: number) {
    this.words = words;
    this.bytes = bytes;
    // Not `>>`, which is signed: offsets may be above 2^31.
    this.headerWord = offset >>> 2;
    this.dataWord = (offset + HEADER_BYTES) >>> 2;
    this.wordCount = dataBytes >> 2;
    this.semaphoreAddress = base + offset + RingHeader.semaphore;
  }

  drop(): void {
    this.words = NO_WORDS;
    this.bytes = NO_BYTES;
  }
}

/** The mapped rings of a connection. */
export class RingSet implements Disposable {
  readonly rings: Readonly<Record<RingName, RingMemory>>;
  readonly #memories: readonly Memory[];
  readonly #reservation: Reservation;

  private constructor(reservation: Reservation, memories: readonly [Memory, Memory, Memory]) {
    this.#reservation = reservation;
    this.#memories = memories;
    this.rings = { request: memories[0], response: memories[1], event: memories[2] };
  }

  /** Maps the files; the caller keeps the descriptors. ENOMEM (also above 4 GiB), ENFILE. */
  static map(files: readonly [RingFiles, RingFiles, RingFiles]): RingSet | Errno {
    const [request, response, event] = files;
    const responseAt = mappedBytes(request);
    const eventAt = responseAt + mappedBytes(response);
    const length = eventAt + mappedBytes(event);
    if (length > MAX_SET_BYTES) return Errno.ENOMEM;
    const reservation = Reservation.of(length);
    if (typeof reservation === "number") return reservation;
    const failed =
      placeRing(reservation, 0, request) ||
      placeRing(reservation, responseAt, response) ||
      placeRing(reservation, eventAt, event);
    if (failed) {
      reservation[Symbol.dispose]();
      return failed;
    }
    const view = reservation.view();
    const words = new Int32Array(view);
    const bytes = Buffer.from(view);
    const memoryAt = (offset: number, { dataBytes }: RingFiles): Memory =>
      new Memory(words, bytes, reservation.address, offset, dataBytes);
    return new RingSet(reservation, [
      memoryAt(0, request),
      memoryAt(responseAt, response),
      memoryAt(eventAt, event),
    ]);
  }

  /** True when a file was truncated: end the connection and use nothing from its memory. */
  get vanished(): boolean {
    return this.#reservation.vanished;
  }

  [Symbol.dispose](): void {
    for (const memory of this.#memories) memory.drop();
    this.#reservation[Symbol.dispose]();
  }
}

/** Maps one ring at `offset`: the header, and the data twice, so that a chunk never wraps. */
function placeRing(reservation: Reservation, offset: number, files: RingFiles): 0 | Errno {
  const { header, data, dataBytes } = files;
  return (
    reservation.place(offset, header, HEADER_BYTES) ||
    reservation.place(offset + HEADER_BYTES, data, dataBytes) ||
    reservation.place(offset + HEADER_BYTES + dataBytes, data, dataBytes)
  );
}

function writePath(bytes: Buffer, path: string, at: number): void {
  bytes.write(`${path}\0`, at, RingHeader.pathBytes, "latin1");
}

/** Writes the fields of a new header that are not zero: size, paths, the first reference. */
export function initRing(memory: RingMemory, headerPath: string, dataPath: string): void {
  const { words, bytes, headerWord, wordCount } = memory;
  const header = headerWord * 4;
  words[headerWord + (RingHeader.wordCount >> 2)] = wordCount;
  words[headerWord + (RingHeader.semaphorePrivate >> 2)] = SEMAPHORE_SHARED;
  writePath(bytes, headerPath, header + RingHeader.headerPath);
  writePath(bytes, dataPath, header + RingHeader.dataPath);
  Atomics.store(words, headerWord + (RingHeader.refCount >> 2), 1);
}

/** Adds a reference, as a client does after it mapped a ring; a request ring needs two. */
export function addReference(memory: RingMemory): void {
  Atomics.add(memory.words, memory.headerWord + (RingHeader.refCount >> 2), 1);
}

/** Drops the reference of a client that unmaps a ring. */
export function dropReference(memory: RingMemory): void {
  Atomics.sub(memory.words, memory.headerWord + (RingHeader.refCount >> 2), 1);
}

/** The number of references in the header; the peer can write any value. */
export function referencesOf(memory: RingMemory): number {
  return Atomics.load(memory.words, memory.headerWord + (RingHeader.refCount >> 2));
}

/** Sets the flow control word (of a request ring). */
export function setFlowControl(memory: RingMemory, level: number): void {
  Atomics.store(memory.words, memory.headerWord + (RingHeader.flowControl >> 2), level);
}

/** The flow control word of a request ring: 0 send, 1 stop, 2 stop if the client agreed to it. */
export function flowControlOf(memory: RingMemory): number {
  return Atomics.load(memory.words, memory.headerWord + (RingHeader.flowControl >> 2));
}

/** Bytes of a ring beyond its largest message: libqb's chunk margin and 1 (qb_rb_open). */
const RING_MARGIN_BYTES = CHUNK_MARGIN_BYTES + 1;

/** Bytes of a ring's data for messages of `maxMessageBytes`, in whole pages (qb_rb_open). */
export function ringDataBytes(maxMessageBytes: number): number {
  return pages(maxMessageBytes + RING_MARGIN_BYTES);
}

/** Bytes of /dev/shm that three rings with `dataBytes` of data each take. */
export function ringSetBytes(dataBytes: number): number {
  return RING_NAMES.length * (HEADER_BYTES + dataBytes);
}

/** Bytes of /dev/shm that one connection takes. */
export function connectionBytes(maxMessageBytes: number): number {
  return ringSetBytes(ringDataBytes(maxMessageBytes));
}
