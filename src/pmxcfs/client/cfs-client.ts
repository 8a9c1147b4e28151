/**
 * pmxcfs's twelve requests as calls. A call returns the parsed result, the errno that the server
 * answered (`typeof result === "number"`), or the failure of the transport (`result instanceof
 * QbFailure`).
 */
import type { Errno } from "../../base/errno.ts";
import { QbFailure } from "../../client/failure.ts";
import type { CallOptions } from "../../client/options.ts";
import type { CfsRequest } from "../requests/request.ts";
import { type ClusterInfo, getClusterInfo } from "../requests/rows/get-cluster-info.ts";
import { type ClusterLogEntry, getClusterLog } from "../requests/rows/get-cluster-log.ts";
import { getConfig } from "../requests/rows/get-config.ts";
import { type FsVersions, getFsVersion } from "../requests/rows/get-fs-version.ts";
import {
  getGuestConfigProperties,
  getGuestConfigProperty,
  type GuestProperties,
} from "../requests/rows/guest-properties.ts";
import { getGuestList, type GuestList } from "../requests/rows/get-guest-list.ts";
import { getRrdDump, type RrdDump } from "../requests/rows/get-rrd-dump.ts";
import { getStatus } from "../requests/rows/get-status.ts";
import { logClusterMsg, type LogEntry } from "../requests/rows/log-cluster-msg.ts";
import { setStatus } from "../requests/rows/set-status.ts";
import { verifyToken } from "../requests/rows/verify-token.ts";
import { PveConnection, type PveConnectionOptions } from "./pve-connection.ts";

/** The result, the server's errno, or the transport's failure. */
export type Answer<T> = T | Errno | QbFailure;

/** A client of pmxcfs or a compatible server. Owns its connection. */
export class CfsClient implements Disposable {
  readonly connection: PveConnection;

  /** A client of service `name` (default: `pve2`); connects at the first call. */
  constructor(name?: string, options?: PveConnectionOptions) {
    this.connection = new PveConnection(name, options);
  }

  /** Version counters of everything that PVE watches. */
  async getFsVersion(options?: CallOptions): Promise<Answer<FsVersions>> {
    return await this.#call(getFsVersion, {}, options);
  }

  /** Nodes of the cluster, quorum, addresses. */
  async getClusterInfo(options?: CallOptions): Promise<Answer<ClusterInfo>> {
    return await this.#call(getClusterInfo, {}, options);
  }

  /** All guests: node, type, version. */
  async getGuestList(options?: CallOptions): Promise<Answer<GuestList>> {
    return await this.#call(getGuestList, {}, options);
  }

  /**
   * Sets a key of this node's status, or removes it if there is no value; returns `true`. EPERM:
   * read-only; EFBIG: above 32 KiB.
   */
  async setStatus(key: string, value?: Uint8Array, options?: CallOptions): Promise<Answer<true>> {
    return await this.#call(setStatus, { key, value }, options);
  }

  /** The value of a node's key, as it was set. ENOENT: no such key or node. */
  async getStatus(key: string, node?: string, options?: CallOptions): Promise<Answer<Buffer>> {
    return await this.#call(getStatus, { key, node }, options);
  }

  /** A file below /etc/pve. ENOENT: no such file; EPERM: private, and we are read-only. */
  async getConfig(path: string, options?: CallOptions): Promise<Answer<Buffer>> {
    return await this.#call(getConfig, { path }, options);
  }

  /** Writes an entry into the cluster log. EPERM: read-only. */
  async logClusterMessage(entry: LogEntry, options?: CallOptions): Promise<Answer<true>> {
    return await this.#call(logClusterMsg, entry, options);
  }

  /** The newest `max` entries (default: 50) of the cluster log, newest first. */
  async getClusterLog(
    filter: { readonly max?: number; readonly user?: string } = {},
    options?: CallOptions,
  ): Promise<Answer<readonly ClusterLogEntry[]>> {
    return await this.#call(getClusterLog, filter, options);
  }

  /** The newest performance data of nodes, guests and storages. */
  async getRrdDump(options?: CallOptions): Promise<Answer<RrdDump>> {
    return await this.#call(getRrdDump, {}, options);
  }

  /** One property of one guest's config, or of all guests' (vmid 0). ENOENT: no such guest. */
  async getGuestConfigProperty(
    vmid: number,
    property: string,
    options?: CallOptions,
  ): Promise<Answer<GuestProperties>> {
    return await this.#call(getGuestConfigProperty, { vmid, property }, options);
  }

  /** Up to 255 properties of one guest's config, or of all guests' (vmid 0). */
  async getGuestConfigProperties(
    vmid: number,
    properties: readonly string[],
    options?: CallOptions,
  ): Promise<Answer<GuestProperties>> {
    return await this.#call(getGuestConfigProperties, { vmid, properties }, options);
  }

  /** True when `user@realm!name secret` is a line of priv/token.cfg. ENOENT: it is not. */
  async verifyToken(token: string, options?: CallOptions): Promise<Answer<true>> {
    return await this.#call(verifyToken, { token }, options);
  }

  async #call<A, R>(
    request: CfsRequest<A, R>,
    given: A,
    options: CallOptions | undefined,
  ): Promise<Answer<R>> {
    const body = request.encode(given);
    if (body instanceof QbFailure) return body;
    const response = await this.connection.sendRecv(request.id, body, options);
    if (response instanceof QbFailure) return response;
    return response.error === 0 ? request.answer.read(response.body) : (response.error as Errno);
  }

  /** Ends the connection for good: pending and later calls fail. */
  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
