/**
 * pmxcfs's twelve requests as calls: arguments in; the parsed result, the errno the server
 * answered, or why there was no answer. `typeof result === "number"` is the errno,
 * `result instanceof QbFailure` the transport.
 */
import type { Errno } from "../../base/errno.ts";
import { CfsIpc } from "../requests/layouts.ts";
import * as answers from "./cfs-answers.ts";
import * as requests from "./cfs-requests.ts";
import { QbFailure } from "../../client/failure.ts";
import { PveConnection, type PveConnectionOptions } from "./pve-connection.ts";
import type { CallOptions } from "../../client/options.ts";

/** The result, the server's errno, or the transport's failure. */
export type Answer<T> = T | Errno | QbFailure;

const NOTHING = Buffer.alloc(0);

function asIs(body: Buffer): Buffer {
  return body;
}

function done(): true {
  return true;
}

/** A client of pmxcfs, or of any server that answers like it. Owns its connection. */
export class CfsClient implements Disposable {
  readonly connection: PveConnection;

  /** Of service `name`, `pve2` unless given; connects at the first call. */
  constructor(name?: string, options?: PveConnectionOptions) {
    this.connection = new PveConnection(name, options);
  }

  /** Version counters of all that PVE watches. */
  async getFsVersion(options?: CallOptions): Promise<Answer<answers.FsVersions>> {
    return await this.#call(CfsIpc.GET_FS_VERSION, NOTHING, answers.fsVersions, options);
  }

  /** Nodes of the cluster, quorum, addresses. */
  async getClusterInfo(options?: CallOptions): Promise<Answer<answers.ClusterInfo>> {
    return await this.#call(CfsIpc.GET_CLUSTER_INFO, NOTHING, answers.clusterInfo, options);
  }

  /** All guests: where, what, version. */
  async getGuestList(options?: CallOptions): Promise<Answer<answers.GuestList>> {
    return await this.#call(CfsIpc.GET_GUEST_LIST, NOTHING, answers.guestList, options);
  }

  /**
   * Sets a key of this node's status; without a value removes it. EPERM: read-only; EFBIG: above
   * 32 KiB. `true` when it is done.
   */
  async setStatus(key: string, value?: Uint8Array, options?: CallOptions): Promise<Answer<true>> {
    return await this.#call(CfsIpc.SET_STATUS, requests.setStatusBody(key, value), done, options);
  }

  /** A node's value of a key, as it was set. ENOENT: no such key or node. */
  async getStatus(key: string, node?: string, options?: CallOptions): Promise<Answer<Buffer>> {
    return await this.#call(CfsIpc.GET_STATUS, requests.getStatusBody(key, node), asIs, options);
  }

  /** A file below /etc/pve. ENOENT: no such file; EPERM: private, and we are read-only. */
  async getConfig(path: string, options?: CallOptions): Promise<Answer<Buffer>> {
    return await this.#call(CfsIpc.GET_CONFIG, requests.getConfigBody(path), asIs, options);
  }

  /** Writes an entry into the cluster log. EPERM: read-only. */
  async logClusterMessage(entry: requests.LogEntry, options?: CallOptions): Promise<Answer<true>> {
    const body = requests.logClusterMessageBody(entry);
    return await this.#call(CfsIpc.LOG_CLUSTER_MSG, body, done, options);
  }

  /** The newest entries of the cluster log (50 unless `max` says more), newest first. */
  async getClusterLog(
    filter: { readonly max?: number; readonly user?: string } = {},
    options?: CallOptions,
  ): Promise<Answer<readonly answers.ClusterLogEntry[]>> {
    const body = requests.getClusterLogBody(filter.max, filter.user);
    return await this.#call(CfsIpc.GET_CLUSTER_LOG, body, answers.clusterLog, options);
  }

  /** The newest performance figures of nodes, guests and storages. */
  async getRrdDump(options?: CallOptions): Promise<Answer<answers.RrdDump>> {
    return await this.#call(CfsIpc.GET_RRD_DUMP, NOTHING, answers.rrdDump, options);
  }

  /** One property of one guest's config, or of all guests' (vmid 0). ENOENT: no such guest. */
  async getGuestConfigProperty(
    vmid: number,
    name: string,
    options?: CallOptions,
  ): Promise<Answer<answers.GuestProperties>> {
    const body = requests.guestPropertyBody(vmid, name);
    const id = CfsIpc.GET_GUEST_CONFIG_PROPERTY;
    return await this.#call(id, body, answers.guestProperties, options);
  }

  /** Up to 255 properties of one guest's config, or of all guests' (vmid 0). */
  async getGuestConfigProperties(
    vmid: number,
    names: readonly string[],
    options?: CallOptions,
  ): Promise<Answer<answers.GuestProperties>> {
    const body = requests.guestPropertiesBody(vmid, names);
    const id = CfsIpc.GET_GUEST_CONFIG_PROPERTIES;
    return await this.#call(id, body, answers.guestProperties, options);
  }

  /** True when `user@realm!name secret` is a line of priv/token.cfg. ENOENT: it is not. */
  async verifyToken(token: string, options?: CallOptions): Promise<Answer<true>> {
    return await this.#call(CfsIpc.VERIFY_TOKEN, requests.verifyTokenBody(token), done, options);
  }

  async #call<T>(
    id: CfsIpc,
    body: Buffer | QbFailure,
    read: (body: Buffer) => T | QbFailure,
    options?: CallOptions,
  ): Promise<Answer<T>> {
    if (body instanceof QbFailure) return body;
    const response = await this.connection.sendRecv(id, body, options);
    if (response instanceof QbFailure) return response;
    return response.error === 0 ? read(response.body) : (response.error as Errno);
  }

  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
