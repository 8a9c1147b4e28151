/** The configuration and statistics map of corosync (service cmap): typed values by key. */
import { encode, spanOf } from "../wire/struct.ts";
import { type CmapValue, decodeValue } from "./cmap-value.ts";
import { CsError, CsFailure } from "./cs-error.ts";
import {
  CMAP_KEY_MAX,
  CMAP_KEY_MIN,
  CMAP_SET_MAP_RESPONSE,
  CMAP_VALUE_BYTES_MAX,
  CmapChangeEvent,
  CmapEventId,
  CmapGetRequest,
  CmapGetResponse,
  CmapHandleMessage,
  CmapIterNextResponse,
  CmapKeyRequest,
  CmapMap,
  CmapMessageId,
  CmapSetMapRequest,
  CmapTrackAddRequest,
  ServiceName,
} from "./layouts.ts";
import { ServiceConnection, type ServiceOptions } from "./service.ts";

/** Value bytes that the first request allows: enough for names and addresses. */
const VALUE_ROOM_BYTES = 512;
/** Most keys of one iteration; corosync's statistics have some hundred per connection. */
const KEYS_MAX = 65_536;

/** A key that changed. */
export interface CmapChange {
  readonly key: string;
  /** One of CmapTrack: 1 deleted, 2 modified, 4 added. */
  readonly what: number;
  /** The new value; undefined if the key was deleted, or the value is empty or of unknown type. */
  readonly value: CmapValue | undefined;
}

export interface CmapCallbacks {
  /** A tracked key changed. */
  changed(change: CmapChange): void;
  /** The connection has ended: corosync stopped, or broke the protocol. Called once. */
  ended(failure: CsFailure): void;
}

function keyFields(key: string): { readonly keyLength: number; readonly keyName: string } {
  return { keyLength: key.length, keyName: key };
}

/** A connection to the cmap service: reads, iterates and tracks keys. */
export class Cmap implements Disposable {
  readonly #service: ServiceConnection;
  #tracks = 0n;

  private constructor(service: ServiceConnection, callbacks: CmapCallbacks) {
    this.#service = service;
    service.watchOne(CmapEventId.CHANGE, decodeChange, callbacks);
  }

  /** Connects; fails as ServiceConnection.connect. */
  static async connect(
    callbacks: CmapCallbacks,
    options: ServiceOptions = {},
  ): Promise<Cmap | CsFailure> {
    const service = await ServiceConnection.connect(ServiceName.cmap, options);
    return service instanceof ServiceConnection ? new Cmap(service, callbacks) : service;
  }

  /**
   * Connects to the map of statistics, which is not that of the configuration (C:
   * cmap_initialize_map). Fails as `connect`; NOT_EXIST: this corosync has no such map.
   */
  static async statistics(options: ServiceOptions = {}): Promise<Cmap | CsFailure> {
    const cmap = await Cmap.connect({ changed: () => {}, ended: () => {} }, options);
    if (cmap instanceof CsFailure) return cmap;
    const chosen = await cmap.#service.command({
      id: CmapMessageId.SET_MAP,
      responseId: CMAP_SET_MAP_RESPONSE,
      body: encode(CmapSetMapRequest, { map: CmapMap.STATISTICS }),
    });
    if (chosen === CsError.OK) return cmap;
    cmap.close();
    return new CsFailure(chosen, "corosync does not give its statistics");
  }

  /** The value of `key` (3 to 255 characters). NOT_EXIST: no such key. */
  async get(key: string): Promise<CmapValue | CsError> {
    if (key.length < CMAP_KEY_MIN || key.length > CMAP_KEY_MAX) return CsError.INVALID_PARAM;
    const found = await this.#get(key, VALUE_ROOM_BYTES);
    // INVALID_PARAM: the value is larger. No value of corosync exceeds CMAP_VALUE_BYTES_MAX.
    return found === CsError.INVALID_PARAM ? await this.#get(key, CMAP_VALUE_BYTES_MAX) : found;
  }

  async #get(key: string, room: number): Promise<CmapValue | CsError> {
    const body = await this.#service.call({
      id: CmapMessageId.GET,
      responseId: CmapMessageId.GET,
      body: encode(CmapGetRequest, { ...keyFields(key), valueBytes: BigInt(room) }),
      leastBytes: CmapGetResponse.size,
    });
    if (typeof body === "number") return body;
    const span = spanOf(body);
    const bytes = Number(CmapGetResponse.read.valueBytes(span));
    if (bytes > body.byteLength - CmapGetResponse.size) return CsError.MESSAGE_ERROR;
    const from = CmapGetResponse.size;
    return decodeValue(CmapGetResponse.read.type(span), body.subarray(from, from + bytes));
  }

  /**
   * All keys that begin with `prefix` (empty: all), in the order of their bytes. TOO_BIG: more than
   * 65536 keys.
   */
  async keys(prefix: string): Promise<string[] | CsError> {
    if (prefix.length > CMAP_KEY_MAX) return CsError.INVALID_PARAM;
    const opened = await this.#service.call({
      id: CmapMessageId.ITER_INIT,
      responseId: CmapMessageId.ITER_INIT,
      body: encode(CmapKeyRequest, keyFields(prefix)),
      leastBytes: CmapHandleMessage.size,
    });
    if (typeof opened === "number") return opened;
    const handle = opened.subarray(0, CmapHandleMessage.size);
    const keys = await this.#walk(handle);
    await this.#service.command({
      id: CmapMessageId.ITER_FINALIZE,
      responseId: CmapMessageId.ITER_FINALIZE,
      body: handle,
    });
    return typeof keys === "number" ? keys : keys.toSorted((a, b) => (a < b ? -1 : Number(a > b)));
  }

  async #walk(handle: Uint8Array): Promise<string[] | CsError> {
    const keys: string[] = [];
    while (keys.length < KEYS_MAX) {
      const body = await this.#service.call({
        id: CmapMessageId.ITER_NEXT,
        responseId: CmapMessageId.ITER_NEXT,
        body: handle,
        leastBytes: CmapIterNextResponse.size,
      });
      if (body === CsError.NO_SECTIONS) return keys;
      if (typeof body === "number") return body;
      const span = spanOf(body);
      const { keyName, keyLength } = CmapIterNextResponse.read;
      keys.push(keyName(span).slice(0, keyLength(span)));
    }
    return CsError.TOO_BIG;
  }

  /** Tracks `key`; `flags`: a sum of CmapTrack (PREFIX: all keys that begin with `key`). */
  async track(key: string, flags: number): Promise<CsError> {
    const body = encode(CmapTrackAddRequest, {
      ...keyFields(key),
      type: flags,
      number: ++this.#tracks,
    });
    return await this.#service.command({
      id: CmapMessageId.TRACK_ADD,
      responseId: CmapMessageId.TRACK_ADD,
      body,
    });
  }

  get closed(): boolean {
    return this.#service.closed;
  }

  /** Closes; corosync drops the tracks with the connection. */
  close(): void {
    this.#service.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** A change event, or what is wrong with it. */
export function decodeChange(body: Buffer): CmapChange | string {
  const { size, read } = CmapChangeEvent;
  if (body.byteLength < size) return `a cmap event of ${body.byteLength} bytes`;
  const span = spanOf(body);
  const newBytes = Number(read.newBytes(span));
  if (newBytes > body.byteLength - size) {
    return `a cmap value of ${newBytes} bytes in ${body.byteLength}`;
  }
  const key = read.keyName(span).slice(0, read.keyLength(span));
  const value =
    newBytes === 0
      ? undefined
      : decodeValue(read.newType(span), body.subarray(size, size + newBytes));
  return { key, what: read.what(span), value: typeof value === "number" ? undefined : value };
}
