/**
 * What pmxcfs answers, read into values (OPERATIONS.md, "Texts"). Bodies are UTF-8; one that is not
 * what it should be (the C server emits invalid JSON for quotes in tags) is a QbFailure.
 */
import { garbage, type QbFailure } from "../../client/failure.ts";

/** GET_FS_VERSION: counters that move when something changes. */
export interface FsVersions {
  /** Unix time of the server's start; another value means: forget all you cached. */
  readonly starttime: number;
  readonly clinfo: number;
  readonly vmlist: number;
  /** By node, then key: the version of each status value. */
  readonly kvstore: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By path below /etc/pve: the version of each observed file. */
  readonly files: Readonly<Record<string, number>>;
}

export interface ClusterNode {
  readonly id: number;
  readonly online: number;
  readonly ip?: string;
}

/** GET_CLUSTER_INFO; without `cluster` and `nodelist` on a node that is in no cluster. */
export interface ClusterInfo {
  readonly nodename: string;
  readonly version: number;
  readonly cluster?: {
    readonly name: string;
    readonly version: number;
    readonly nodes: number;
    readonly quorate: number;
  };
  readonly nodelist?: Readonly<Record<string, ClusterNode>>;
}

/** GET_GUEST_LIST: by vmid. */
export interface GuestList {
  readonly version: number;
  readonly ids: Readonly<
    Record<string, { readonly node: string; readonly type: string; readonly version: number }>
  >;
}

/** An entry of the cluster log, as it is shown. */
export interface ClusterLogEntry {
  readonly uid: number;
  /** Unix time. */
  readonly time: number;
  readonly pri: number;
  readonly tag: string;
  readonly pid: number;
  readonly node: string;
  readonly user: string;
  readonly msg: string;
}

/** GET_GUEST_CONFIG_PROPERTY and _PROPERTIES: by vmid, then property; only what is set. */
export type GuestProperties = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** GET_RRD_DUMP: by key (`pve-node-9.0/pve1`), the fields of its newest entry. */
export type RrdDump = ReadonlyMap<string, readonly string[]>;

type Json = Record<string, unknown>;

function parse<T>(what: string, body: Buffer, read: (value: Json) => T): T | QbFailure {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    if (typeof value === "object" && value !== null) return read(value as Json);
  } catch {
    // Said below: where it breaks helps nobody, `call --hex` shows all of it.
  }
  return garbage(`the ${what} the server sent is not the JSON it should be`);
}

/** Parses the JSON text of GET_FS_VERSION; a failure of kind garbage when it is not that. */
export function fsVersions(body: Buffer): FsVersions | QbFailure {
  return parse("version list", body, (value) => {
    const { starttime, clinfo, vmlist, kvstore, ...files } = value;
    return { starttime, clinfo, vmlist, kvstore, files } as FsVersions;
  });
}

/** Parses the JSON text of GET_CLUSTER_INFO; a failure of kind garbage when it is not that. */
export function clusterInfo(body: Buffer): ClusterInfo | QbFailure {
  return parse("cluster information", body, (value) => value as unknown as ClusterInfo);
}

/** Parses the JSON text of GET_GUEST_LIST; a failure of kind garbage when it is not that. */
export function guestList(body: Buffer): GuestList | QbFailure {
  return parse("guest list", body, ({ version, ids = {} }) => ({ version, ids }) as GuestList);
}

/** Parses the JSON text of GET_CLUSTER_LOG; a failure of kind garbage when it is not that. */
export function clusterLog(body: Buffer): readonly ClusterLogEntry[] | QbFailure {
  return parse("cluster log", body, ({ data }) => data as readonly ClusterLogEntry[]);
}

/** Parses the JSON text of requests 11 and 13; a failure of kind garbage when it is not that. */
export function guestProperties(body: Buffer): GuestProperties | QbFailure {
  return parse("list of properties", body, (value) => value as GuestProperties);
}

/** Lines of `key:field:field...`; the final NUL is not part of them. */
export function rrdDump(body: Buffer): RrdDump {
  const nul = body.indexOf(0);
  const text = body.toString("utf8", 0, nul === -1 ? body.byteLength : nul);
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [key = "", ...fields] = line.split(":");
      return [key, fields];
    }),
  );
}
