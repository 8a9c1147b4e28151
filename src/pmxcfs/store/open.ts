/**
 * Opens one of the stores (a directory, a config.db that another program owns, the node's own
 * config.db, or the default store in the state directory) and what is derived from it. Nothing
 * stays open on failure.
 */
import type { Log } from "../../base/log.ts";
import { readRegularFile } from "../../platform/regular-file.ts";
import { ConfigDb } from "./config-db.ts";
import { parseCorosyncConf, type CorosyncConfig } from "../state/corosync-conf.ts";
import { DirectorySource } from "./directory.ts";
import { defaultStateDirectory, ensureEmbeddedDb } from "./embedded.ts";
import { Guests } from "../state/guests.ts";
import { Members } from "../state/members.ts";
import { Memdb } from "../state/memdb.ts";
import { openTree, type OpenTreeOptions } from "./open-tree.ts";
import { Reloads, type ReloadCounts } from "./reloads.ts";
import type { TreeStore } from "./tree-store.ts";
import { errorText } from "../../base/error-text.ts";
import { Tokens } from "../state/tokens.ts";
import { Versions } from "../state/versions.ts";

/** At most one of `dir`, `db` and `own`; without any, the default store in `state`. */
export interface BackendOptions {
  /** A directory that is served as /etc/pve. */
  readonly dir?: string | undefined;
  /** A pmxcfs config.db; never written. */
  readonly db?: string | undefined;
  /** The node's own config.db, which is written; made when it is missing. */
  readonly own?: string | undefined;
  /** How `own` is written (open-tree.ts). */
  readonly writing?: Pick<OpenTreeOptions, "commit" | "sync"> | undefined;
  /** The directory of the default store. */
  readonly state?: string | undefined;
  readonly nodeName: string;
  readonly corosyncConf?: string | undefined;
  /** Nodes that count as online besides this one. */
  readonly online?: readonly string[] | undefined;
  readonly log: Log;
}

/** Where the tree comes from. */
interface Source extends Disposable {
  readonly reloads: ReloadCounts;
  refresh(): void;
}

/** Owns its source; close with `using` or Symbol.dispose. */
export class Backend implements Disposable {
  readonly memdb: Memdb;
  readonly versions: Versions;
  readonly guests: Guests;
  readonly members: Members;
  readonly tokens: Tokens;
  /** Where the tree comes from, for the log: `directory /srv/pve`. */
  readonly origin: string;
  /** The writable tree; undefined when another program owns the store. */
  readonly tree: TreeStore | undefined;
  readonly #source: Source;

  constructor(loaded: Loaded, options: BackendOptions, corosync: CorosyncConfig | undefined) {
    const { memdb, source, origin } = loaded;
    const { nodeName, online, log } = options;
    this.memdb = memdb;
    this.origin = origin;
    this.tree = source instanceof OwnTree ? source.tree : undefined;
    this.#source = source;
    const versions = new Versions({ memdb });
    this.versions = versions;
    const onDuplicate = (vmid: number, [served, other]: readonly string[]): void =>
      log.warn(`detected duplicate VMID ${vmid}: ${served} is listed, ${other} is not`);
    this.guests = new Guests({ memdb, versions, onDuplicate });
    this.tokens = new Tokens(memdb);
    this.members = new Members({
      nodeName,
      versions,
      ...(corosync === undefined ? {} : { corosync }),
      ...(online === undefined ? {} : { online }),
    });
  }

  get reloads(): ReloadCounts {
    return this.#source.reloads;
  }

  /** Applies what others changed since the last call; cheap enough for every request. */
  refresh(): void {
    this.#source.refresh();
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
  }
}

/** The tree of a database that only this process changes. */
class OwnTree implements Source {
  readonly tree: TreeStore;
  readonly reloads = new Reloads(performance.now(), ["database"]);

  constructor(tree: TreeStore) {
    this.tree = tree;
  }

  /** No other process changes it. */
  refresh(): void {}

  [Symbol.dispose](): void {
    this.tree[Symbol.dispose]();
  }
}

interface Loaded {
  readonly memdb: Memdb;
  readonly source: Source;
  readonly origin: string;
}

/** The backend, or one line that says why there is none. */
export function openBackend(options: BackendOptions): Backend | string {
  const { dir, db, own } = options;
  if ([dir, db, own].filter((store) => store !== undefined).length > 1) {
    return "only one directory or database can be served";
  }
  const corosync = readCorosyncConf(options);
  if (typeof corosync === "string") return corosync;
  const loaded = load(options);
  return typeof loaded === "string" ? loaded : new Backend(loaded, options, corosync);
}

function load(options: BackendOptions): Loaded | string {
  const { dir, db, own, state, nodeName, log } = options;
  if (own !== undefined) return loadOwn(own, options);
  const memdb = new Memdb();
  if (dir !== undefined) {
    const source = DirectorySource.open({ directory: dir, memdb, log });
    if (typeof source === "string") return `unable to serve directory '${dir}': ${source}`;
    return { memdb, source, origin: `directory ${dir}` };
  }
  if (db !== undefined) return loadDb(db, memdb, log);
  const uid = process.getuid?.() ?? 0;
  const directory = state ?? defaultStateDirectory(process.env, uid);
  const { file, problem } = ensureEmbeddedDb(directory, nodeName);
  return problem === undefined
    ? loadDb(file, memdb, log)
    : `unable to create database '${file}': ${problem}`;
}

function loadDb(file: string, memdb: Memdb, log: Log): Loaded | string {
  const source = ConfigDb.open({ file, memdb, log });
  if (typeof source === "string") return `unable to open database '${file}': ${source}`;
  return { memdb, source, origin: `database ${file}` };
}

function loadOwn(file: string, { writing, log }: BackendOptions): Loaded | string {
  const tree = openTree({ ...writing, file, log });
  if (typeof tree === "string") return `unable to open database '${file}': ${tree}`;
  return { memdb: tree.memdb, source: new OwnTree(tree), origin: `database ${file} (read-write)` };
}

function readCorosyncConf(options: BackendOptions): CorosyncConfig | string | undefined {
  const { corosyncConf, online = [], nodeName, log } = options;
  if (corosyncConf === undefined) {
    return online.length === 0 ? undefined : "nodes can be online only with a corosync.conf";
  }
  const config = readConf(corosyncConf);
  if (typeof config === "string") return `${corosyncConf}: ${config}`;
  const names = new Set(config.nodes.map(({ name }) => name));
  const unknown = online.find((name) => !names.has(name));
  if (unknown !== undefined) return `${corosyncConf}: no node "${unknown}" to be online`;
  if (!names.has(nodeName)) {
    log.warn(`${corosyncConf}: this node ("${nodeName}") is not among its nodes`);
  }
  return config;
}

function readConf(path: string): CorosyncConfig | string {
  try {
    return parseCorosyncConf(readRegularFile(path).toString("latin1"));
  } catch (error) {
    return errorText(error);
  }
}
