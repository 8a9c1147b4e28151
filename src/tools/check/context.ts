/**
 * Facts that several probes need, found once per run: the caller's ids, who listens, the rings, the
 * processes. Each is found at its first use and kept, so that probes can run side by side and
 * nothing is read twice.
 */
import { type Group, parseGroups } from "../../platform/groups.ts";
import {
  fullAddress,
  isAbstractName,
  isFullAddress,
  parseUnixSockets,
  type UnixSocket,
} from "../../platform/unix-sockets.ts";
import { IpcLimits } from "../../base/limits.ts";
import { PVE_SERVICE } from "../../base/paths.ts";
import type { Machine } from "./host.ts";
import {
  type ProcessInfo,
  descriptorNames,
  mapId,
  parseKeys,
  readProcess,
  readProcesses,
  socketOwners,
} from "./proc.ts";
import { type RingDirectoryInfo, readRings } from "./rings.ts";

/** The real and effective ids of this process, from /proc/self/status. */
export interface Identity {
  readonly realUid: number;
  readonly uid: number;
  readonly realGid: number;
  readonly gid: number;
}

export interface Listener {
  /** `full` is what libqb uses, `short` an abstract name of another length, `file` a path. */
  readonly kind: "full" | "short" | "file";
  readonly inode: number;
  /** Undefined if its process is not visible to this user. */
  readonly owner: ProcessInfo | undefined;
  /** Bytes of the address. */
  readonly length: number;
}

/** Which program a server is, by its process. */
export type ServerKind = "pmxcfs" | "pmxcfs-ipc" | "unknown";

const SERVER_NAMES: ReadonlySet<string> = new Set(["pmxcfs", "pmxcfs-ipc"]);

/** The id that the kernel shows for one without a number in this user namespace (overflowuid). */
const UNMAPPED_ID = 65_534;

/** Time limit of getent(1); without an answer /etc/group is read. */
const LOOKUP_MS = 700;

/** getent(1): the key was not found. */
const NOT_FOUND = 2;

function ids(line: string | undefined): [number, number] {
  const [real = 0, effective = 0] = (line ?? "").split(/\s+/).map(Number);
  return [real, effective];
}

/** The ids of this process where /proc cannot be read. */
function ownIds(): Identity {
  return {
    realUid: process.getuid?.() ?? 0,
    uid: process.geteuid?.() ?? 0,
    realGid: process.getgid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
  };
}

/** Ids of the caller outside its user namespace; `unmapped` where the map has none. */
export interface OuterIds {
  readonly uid: number | "unmapped";
  readonly gid: number | "unmapped";
}

/** The value of `option` in a command line (`--node pve1`, `--node=pve1`); undefined: not given. */
export function optionValue(words: readonly string[], option: string): string | undefined {
  const at = words.findIndex((word) => word === option || word.startsWith(`${option}=`));
  return words[at] === option ? words[at + 1] : words[at]?.slice(option.length + 1);
}

/** The map of the initial user namespace: each id is itself. */
function isWholeMap(text: string): boolean {
  return mapId(text, 0) === 0 && mapId(text, 4_294_967_294) === 4_294_967_294;
}

function kindOf(owner: ProcessInfo | undefined, words: readonly string[]): ServerKind {
  if (owner === undefined) return "unknown";
  if (owner.command === "pmxcfs" || owner.command === "pmxcfs-ipc") return owner.command;
  // From a checkout: bun .../src/main.ts serve
  const ours = words.includes("serve") && words.some((word) => /\/main\.[jt]s$/.test(word));
  return ours ? "pmxcfs-ipc" : "unknown";
}

export class Facts {
  readonly machine: Machine;
  readonly service: string;
  /** The server answered the handshake with a refusal. */
  refused = false;
  readonly #kept = new Map<string, Promise<unknown>>();
  #connectedTo: number | undefined;
  /** A connect of this run reached a listener. */
  #isReached = false;

  constructor(machine: Machine, service: string) {
    this.machine = machine;
    this.service = service;
  }

  /** The result of `find` at the first call with this key, kept for later calls. */
  once<T>(key: string, find: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(key) ?? find();
    this.#kept.set(key, kept);
    return kept as Promise<T>;
  }

  identity(): Promise<Identity> {
    return this.once("identity", async () => {
      const text = await this.machine.text(`${this.machine.paths.proc}/self/status`);
      if (typeof text === "number") return ownIds();
      const keys = parseKeys(text);
      const [realUid, uid] = ids(keys.get("Uid"));
      const [realGid, gid] = ids(keys.get("Gid"));
      return { realUid, uid, realGid, gid };
    });
  }

  /** The server is in the user namespace of this process, and so sees the same ids. */
  async #sharesIds(): Promise<boolean> {
    const { proc } = this.machine.paths;
    const owner = (await this.server())?.owner;
    const likely = owner === undefined ? await this.processes() : [owner];
    const own = await this.machine.link(`${proc}/self/ns/user`);
    for (const { pid, command } of likely) {
      if (owner === undefined && !SERVER_NAMES.has(command)) continue;
      const theirs = await this.machine.link(`${proc}/${pid}/ns/user`);
      if (typeof theirs === "string") return own === theirs;
      // The namespace of another user's process is not shown; its uid is, if it has one here.
      const info = await this.machine.info(`${proc}/${pid}`);
      return typeof info !== "number" && info.uid !== UNMAPPED_ID;
    }
    return false;
  }

  /** Undefined outside a user namespace, and for a server in the same one. */
  outerIds(): Promise<OuterIds | undefined> {
    return this.once("outer ids", async () => {
      const { proc } = this.machine.paths;
      if (await this.#sharesIds()) return undefined;
      const { uid, gid } = await this.identity();
      const uids = await this.machine.text(`${proc}/self/uid_map`);
      const gids = await this.machine.text(`${proc}/self/gid_map`);
      if (typeof uids === "number" || typeof gids === "number") return undefined;
      if ([uids, gids].every(isWholeMap)) return undefined;
      return { uid: mapId(uids, uid) ?? "unmapped", gid: mapId(gids, gid) ?? "unmapped" };
    });
  }

  /** By name or number, from the name service; undefined when there is none. */
  group(key: string): Promise<Group | undefined> {
    return this.once(`group ${key}`, async () => {
      const { code, out } = await this.machine.run(["getent", "group", key], LOOKUP_MS);
      if (code === 0) return parseGroups(out)[0];
      if (code === NOT_FOUND) return undefined;
      // A directory service that hangs does not hide a group of this machine.
      const text = await this.machine.text(this.machine.paths.etcGroup);
      const groups = parseGroups(typeof text === "string" ? text : "");
      return groups.find(({ name, gid }) => name === key || String(gid) === key);
    });
  }

  processes(): Promise<ProcessInfo[]> {
    return this.once("processes", async () => readProcesses(this.machine.paths.proc));
  }

  rings(): Promise<RingDirectoryInfo[]> {
    return this.once("rings", () => readRings(this.machine.paths));
  }

  /** The path of the service's socket if libqb uses sockets in the file system. */
  socketPath(): string {
    return `${this.machine.paths.socketDirectory}/${this.service}`;
  }

  /** Whether libqb clients use sockets in the file system here. */
  usesFilesystem(): Promise<boolean> {
    return this.once("filesystem", async () => {
      return typeof (await this.machine.info(this.machine.paths.filesystemSockets)) !== "number";
    });
  }

  /**
   * The kernel's table of sockets; undefined if it cannot be read. A /proc that has only processes
   * (ProcSubset=pid) lacks the link /proc/net.
   */
  async sockets(): Promise<UnixSocket[] | undefined> {
    const { proc } = this.machine.paths;
    for (const path of [`${proc}/net/unix`, `${proc}/self/net/unix`]) {
      const text = await this.machine.text(path);
      if (typeof text === "string") return parseUnixSockets(text);
    }
    return undefined;
  }

  /** Whether the table of sockets can be read: else only a connect shows whether a server runs. */
  seesListeners(): Promise<boolean> {
    return this.once("sees listeners", async () => (await this.sockets()) !== undefined);
  }

  async #listenersOf(service: string): Promise<Listener[]> {
    const path = `${this.machine.paths.socketDirectory}/${service}`;
    const found = ((await this.sockets()) ?? []).filter(
      (row) => row.listening && (row.path === path || isAbstractName(row.path, service)),
    );
    const { proc } = this.machine.paths;
    const likely = (await this.rings()).map((ring) => ring.serverPid);
    const owners = socketOwners(proc, new Set(found.map((row) => row.inode)), likely);
    return found.map((row) => {
      const pid = owners.get(row.inode);
      const abstract = row.path === fullAddress(service) ? "full" : "short";
      return {
        kind: row.path === path ? "file" : abstract,
        inode: row.inode,
        owner: pid === undefined ? undefined : readProcess(proc, pid),
        // The address starts with the two bytes of its family.
        length: row.path.length + 2,
      };
    });
  }

  /** Every socket that listens under the service's name, abstract or in the file system. */
  listeners(): Promise<Listener[]> {
    return this.once("listeners", () => this.#listenersOf(this.service));
  }

  /** The sockets of the node's own server, if another service is examined beside it. */
  nodeListeners(): Promise<Listener[]> {
    return this.once("node listeners", async () => {
      return this.service === PVE_SERVICE ? [] : await this.#listenersOf(PVE_SERVICE);
    });
  }

  /** Whether a server listens: that of the service, or the node's own beside it. */
  async isServed(): Promise<boolean> {
    return (await this.server()) !== undefined || (await this.nodeListeners()).length > 0;
  }

  /** Whether this process listens as libqb servers do, under any name. */
  async isServer(pid: number): Promise<boolean> {
    const names = new Set(descriptorNames(this.machine.paths.proc, pid));
    const { socketDirectory } = this.machine.paths;
    return ((await this.sockets()) ?? []).some(({ listening, inode, path }) => {
      const isAddress = isFullAddress(path) || path.startsWith(`${socketDirectory}/`);
      return listening && isAddress && names.has(`socket:[${inode}]`);
    });
  }

  /**
   * Records that a connect reached a server, and the pid that the connection reports (0: none): it
   * is known also to users who cannot see it.
   */
  learnServer(pid: number): void {
    this.#isReached = true;
    if (pid > 0) this.#connectedTo = pid;
  }

  /** The listener that libqb clients reach; undefined when there is none. */
  async server(): Promise<Listener | undefined> {
    const wanted = (await this.usesFilesystem()) ? "file" : "full";
    const seen = (await this.listeners()).find((listener) => listener.kind === wanted);
    const isUnseen = seen === undefined && this.#isReached && !(await this.seesListeners());
    const server: Listener | undefined = isUnseen
      ? { kind: wanted, inode: 0, owner: undefined, length: IpcLimits.addressPathBytes + 2 }
      : seen;
    const pid = this.#connectedTo;
    if (server === undefined || server.owner !== undefined || pid === undefined) return server;
    return { ...server, owner: readProcess(this.machine.paths.proc, pid) };
  }

  /** Which program serves; `unknown` also when its process may not be seen. */
  serverKind(): Promise<ServerKind> {
    return this.once("kind", async () =>
      kindOf((await this.server())?.owner, await this.serverWords()),
    );
  }

  /** The server's command line; empty when it may not be read. */
  serverWords(): Promise<readonly string[]> {
    return this.once("words", async () => await this.#wordsOf((await this.server())?.owner));
  }

  async #wordsOf(owner: ProcessInfo | undefined): Promise<readonly string[]> {
    if (owner === undefined) return [];
    const line = await this.machine.text(`${this.machine.paths.proc}/${owner.pid}/cmdline`);
    return typeof line === "string" ? line.split("\0") : [];
  }

  /**
   * The name that the node's own server was given with --node, if that server is ours; it is not
   * the examined server when another service is examined beside it.
   */
  givenNode(): Promise<string | undefined> {
    return this.once("given node", async () => {
      const isOwn = this.service === PVE_SERVICE;
      const servers = isOwn ? [await this.server()] : await this.nodeListeners();
      const owner = servers.find((server) => server?.owner !== undefined)?.owner;
      const words = await this.#wordsOf(owner);
      return kindOf(owner, words) === "pmxcfs-ipc" ? optionValue(words, "--node") : undefined;
    });
  }

  /** The name of this node: the one its server was given, else the host's. */
  async nodeName(): Promise<string> {
    return (await this.givenNode()) ?? this.machine.hostName();
  }

  /** Connections the server has, as the kernel counts them. */
  async connectionCount(): Promise<number> {
    const path = (await this.usesFilesystem()) ? this.socketPath() : fullAddress(this.service);
    return ((await this.sockets()) ?? []).filter((row) => row.connected && row.path === path)
      .length;
  }
}
