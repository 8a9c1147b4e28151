/**
 * /etc/pve: the tree as a file system. Reads come from memory; changes go through the replicator,
 * which stores them (in a cluster, after corosync has ordered them) before they are answered.
 * docs/mount.md lists the errnos; what the kernel itself checks is not checked again.
 * C counterpart: pmxcfs.c, cfs-plug-memdb.c.
 */
import { Errno } from "../../base/errno.ts";
import {
  type AddEntry,
  type AttributeChange,
  type Attributes,
  type Created,
  type Eventual,
  type FileSystem,
  type FileSystemFigures,
  type Opened,
  type Place,
  type Requester,
  ROOT_NODE,
  type WriteAt,
} from "../../fuse/file-system.ts";
import type { Replicator } from "../replication/replicator.ts";
import { type Entry, type Memdb, pathOf } from "../state/memdb.ts";
import type { TreeCommand } from "../state/tree-command.ts";
import { contentOf, resizeDetached, writeDetached } from "./detached.ts";
import { whenDone } from "./eventual.ts";
import { figuresOf } from "./figures.ts";
import type { GuestClashes } from "./guest-clash.ts";
import { Handles, NO_HANDLE } from "./handles.ts";
import { isReachable, Listing } from "./listing.ts";
import { changesOwnership, modeOf, S_IFDIR, S_IFMT, S_IFREG } from "./modes.ts";
import { isGone, isRemoved, isStale, linksOf, type Node, NodeTable } from "./node-table.ts";
import { type Special, specialEntries, type SpecialTexts } from "./special.ts";
import { StaleRetries } from "./stale-retries.ts";

export interface PveFileSystemOptions {
  readonly memdb: Memdb;
  /** Makes the changes; without quorum it answers EACCES, and modes lose their write bits. */
  readonly replicator: Pick<Replicator, "propose" | "quorate" | "flush">;
  readonly texts: SpecialTexts;
  readonly clashes: GuestClashes;
  /** `tookInode` of entries of syncs before this server, by inode (ChangeLedger). */
  readonly taken?: ReadonlyMap<number, number>;
  /** Latin1. */
  readonly nodeName: string;
  /** Group of every entry: www-data. */
  readonly gid: number;
}

/** Seconds the kernel caches names and attributes; a change by another node is seen after that. */
const VALID_SECONDS = 1;

export class PveFileSystem implements FileSystem {
  readonly #memdb: Memdb;
  readonly #replicator: PveFileSystemOptions["replicator"];
  readonly #gid: number;
  readonly #special: ReadonlyMap<string, Special>;
  readonly #specialList: readonly Special[];
  #nodes: NodeTable;
  readonly #handles = new Handles();
  readonly #retries = new StaleRetries();
  readonly #clashes: GuestClashes;

  constructor(options: PveFileSystemOptions) {
    this.#memdb = options.memdb;
    this.#replicator = options.replicator;
    this.#gid = options.gid;
    this.#special = specialEntries(options.nodeName, options.texts);
    this.#specialList = [...this.#special.values()];
    this.#nodes = new NodeTable(options.memdb, options.taken);
    this.#clashes = options.clashes;
  }

  /** Number of nodes the kernel knows, and of handles with content. */
  get held(): { readonly nodes: number; readonly handles: number } {
    return { nodes: this.#nodes.size, handles: this.#handles.size };
  }

  /** The connection has ended: the next one begins without nodes and handles. */
  disconnected(): void {
    this.#nodes = NodeTable.ofNewConnection(this.#memdb);
    this.#handles.clear();
  }

  lookup(parent: number, name: string, pid = 0): Attributes | Errno {
    const found = this.#lookUp(parent, name);
    this.#retries.lookedUp(pid, typeof found === "number" ? found : found.node);
    return found;
  }

  #lookUp(parent: number, name: string): Attributes | Errno {
    // ".", of files too, and ".." are sent for handles of NFS and of open_by_handle_at(2).
    const special = name === "." ? this.#specialOf(parent) : this.#specialAt(parent, name);
    if (special !== undefined) return this.#specialAttributes(special);
    if (name === ".") {
      const node = this.#nodes.get(parent);
      return node === undefined || isRemoved(node) ? Errno.ENOENT : this.#given(node.entry);
    }
    const directory = this.#directory(parent);
    if (typeof directory === "number") return directory;
    if (name === "..") return this.#given(directory.entry.parent ?? directory.entry);
    const entry = isReachable(name) ? directory.entry.children.get(name) : undefined;
    return entry === undefined ? Errno.ENOENT : this.#given(entry);
  }

  forget(id: number, lookups: number): void {
    this.#nodes.forget(id, lookups);
  }

  getattr(id: number, handle: number | undefined): Attributes | Errno {
    const special = this.#specialOf(id);
    if (special !== undefined) {
      return this.#specialAttributes(special, this.#handles.text(handle)?.length);
    }
    const node = this.#nodes.existing(id);
    return node === undefined ? Errno.ENOENT : this.#attributes(node);
  }

  setattr(id: number, change: AttributeChange, by: Requester): Eventual<Attributes | Errno> {
    const special = this.#specialOf(id);
    const node = special === undefined ? this.#nodes.get(id) : undefined;
    const isOld = node !== undefined && isStale(node, change);
    const stale = this.#retries.refuse(by.pid, id, isOld);
    if (stale !== 0) return stale;
    if (special === undefined && (node === undefined || isGone(node))) return Errno.ENOENT;
    const path = node === undefined ? "" : this.#refresh(node).path;
    if (changesOwnership(change, path, this.#gid)) return Errno.EPERM;
    if (special !== undefined) return this.#setSpecial(special, change);
    return this.#setNode(node as Node, change, by);
  }

  readlink(id: number): string | Errno {
    const special = this.#specialOf(id);
    if (special?.kind !== "link") return Errno.EINVAL;
    return Buffer.from(special.content()).toString("latin1");
  }

  mknod(parent: number, name: string, mode: number, by: Requester): Eventual<Attributes | Errno> {
    const type = mode & S_IFMT;
    if (type !== S_IFREG && type !== 0) return Errno.ENOSYS;
    return this.#make("create", { parent, name }, by);
  }

  mkdir(parent: number, name: string, by: Requester): Eventual<Attributes | Errno> {
    return this.#make("mkdir", { parent, name }, by);
  }

  create(parent: number, name: string, by: Requester): Eventual<Created | Errno> {
    // Not direct, as in C: a file that was just created can be mapped (mmap).
    return whenDone(this.#make("create", { parent, name }, by), (made) =>
      typeof made === "number" ? made : { attributes: made, handle: NO_HANDLE, direct: false },
    );
  }

  unlink(parent: number, name: string, by: Requester): Eventual<0 | Errno> {
    return this.#remove({ parent, name }, "file", by);
  }

  rmdir(parent: number, name: string, by: Requester): Eventual<0 | Errno> {
    return this.#remove({ parent, name }, "directory", by);
  }

  rename(from: Place, to: Place, flags: number, by: Requester): Eventual<0 | Errno> {
    if (flags !== 0) return Errno.EINVAL;
    if (this.#isSpecial(from) || this.#isSpecial(to)) return Errno.EACCES;
    const path = this.#pathAt(from);
    const target = this.#pathAt(to);
    if (typeof path === "number") return path;
    if (typeof target === "number") return target;
    return this.#proposeNames({ kind: "rename", path, to: target }, [path, target], by);
  }

  open(id: number, _flags = 0, pid = 0): Opened | Errno {
    const special = this.#specialOf(id);
    if (special !== undefined) {
      return { handle: this.#handles.openText(special.content()), direct: true };
    }
    const node = this.#nodes.get(id);
    if (node === undefined) return Errno.ENOENT;
    // open(2) then has the kernel look the name up again; a write to the old file would be lost.
    const stale = this.#retries.refuse(pid, id, isStale(node));
    return stale === 0 ? { handle: NO_HANDLE, direct: true } : stale;
  }

  read(id: number, handle: number, offset: number, size: number): Uint8Array | Errno {
    const special = this.#specialOf(id);
    if (special !== undefined) {
      const text = this.#handles.text(handle) ?? special.content();
      return text.subarray(offset, offset + size);
    }
    const node = this.#nodes.get(id);
    if (node === undefined || node.entry.kind !== "file") return Errno.ENOENT;
    return contentOf(node).subarray(offset, offset + size);
  }

  write(id: number, { offset }: WriteAt, written: Uint8Array, by: Requester): Eventual<number> {
    const special = this.#specialOf(id);
    if (special !== undefined) return special.write(offset, written);
    const node = this.#nodes.get(id);
    if (node === undefined) return Errno.ENOENT;
    if (isRemoved(node)) {
      return this.#replicator.quorate ? writeDetached(node, offset, written) : Errno.EACCES;
    }
    const { path } = this.#refresh(node);
    return this.#propose({ kind: "write", path, offset, data: written }, by);
  }

  fsync(): 0 | Errno {
    return this.#replicator.flush();
  }

  release(_id: number, handle: number): void {
    this.#handles.close(handle);
  }

  opendir(id: number): Opened | Errno {
    if (this.#nodes.existing(id) === undefined) return Errno.ENOENT;
    return { handle: this.#handles.openListing(), direct: false };
  }

  readdir(id: number, handle: number, offset: number, add: AddEntry): 0 | Errno {
    const node = this.#nodes.get(id);
    if (node === undefined) return Errno.ENOENT;
    const special = id === ROOT_NODE ? this.#special : undefined;
    const directory = this.#nodes.presentOf(node);
    const make = (): Listing => new Listing(this.#nodes, directory, special);
    const listing = this.#handles.listing(handle, offset, make);
    let at = listing.indexAfter(offset);
    while (at < listing.length && listing.add(at, directory, add)) at++;
    return 0;
  }

  releasedir(_id: number, handle: number): void {
    this.#handles.close(handle);
  }

  statfs(): FileSystemFigures {
    return figuresOf(this.#memdb);
  }

  describe(id: number, name?: string): string {
    const special = this.#specialOf(id);
    const node = special === undefined ? this.#nodes.get(id) : undefined;
    const path = special?.name ?? (node && this.#refresh(node).path) ?? `node ${id}`;
    return name === undefined ? path : join(path, name);
  }

  #propose(command: TreeCommand, by: Requester): Eventual<number> {
    return whenDone(this.#replicator.propose(command, by, by.signal), (result) => {
      if (result === Errno.EEXIST) this.#clashes.refused(command);
      return result;
    });
  }

  /** A change that the kernel makes to the names of its own, once it is answered with 0. */
  #proposeNames(
    command: TreeCommand,
    paths: readonly string[],
    by: Requester,
  ): Eventual<0 | Errno> {
    const entries = paths.map((path) => this.#memdb.find(path));
    return whenDone(this.#propose(command, by), (result) => {
      if (result === 0) for (const entry of entries) this.#nodes.renamed(entry);
      return result as 0 | Errno;
    });
  }

  #specialOf(id: number): Special | undefined {
    const index = NodeTable.specialIndex(id);
    return index < 0 ? undefined : this.#specialList[index];
  }

  #specialAt(parent: number, name: string): Special | undefined {
    return parent === ROOT_NODE ? this.#special.get(name) : undefined;
  }

  #isSpecial({ parent, name }: Place): boolean {
    return this.#specialAt(parent, name) !== undefined;
  }

  /** A directory of the tree, and its path. */
  #directory(id: number): { readonly entry: Entry; readonly path: string } | Errno {
    const node = this.#nodes.get(id);
    const entry = node && this.#nodes.presentOf(this.#refresh(node));
    if (node === undefined || entry === undefined) return Errno.ENOENT;
    return entry.kind === "directory" ? { entry, path: node.path } : Errno.ENOTDIR;
  }

  #pathAt({ parent, name }: Place): string | Errno {
    const directory = this.#directory(parent);
    return typeof directory === "number" ? directory : join(directory.path, name);
  }

  /** Updates the path, which a rename may have changed. A removed entry keeps its last one. */
  #refresh(node: Node): Node {
    if (!isRemoved(node)) node.path = pathOf(node.entry);
    return node;
  }

  #given(entry: Entry): Attributes {
    return this.#attributes(this.#nodes.lookUp(entry));
  }

  #attributes(node: Node): Attributes {
    const { id, path } = this.#refresh(node);
    const present = this.#nodes.presentOf(node);
    const { kind, size, mtime } = present ?? node.entry;
    const isRoot = id === ROOT_NODE;
    return {
      node: id,
      mode: isRoot ? S_IFDIR | 0o755 : modeOf(path, kind, this.#replicator.quorate),
      nlink: linksOf(present),
      uid: 0,
      gid: this.#gid,
      size: node.detached?.bytes.length ?? size,
      mtime: isRoot ? 0 : (node.detached?.mtime ?? mtime),
      validSeconds: VALID_SECONDS,
    };
  }

  #specialAttributes(special: Special, size?: number): Attributes {
    return {
      node: NodeTable.specialId(this.#specialList.indexOf(special)),
      mode: special.mode(this.#replicator.quorate),
      nlink: 1,
      uid: 0,
      gid: this.#gid,
      size: size ?? special.content().length,
      mtime: 0,
      // Not cached: stat must report the size of the text that the next open makes.
      validSeconds: special.kind === "link" ? VALID_SECONDS : 0,
    };
  }

  #setSpecial(special: Special, { size, mtime }: AttributeChange): Attributes | Errno {
    const truncated = size === undefined ? 0 : special.truncate();
    if (truncated < 0) return truncated as Errno;
    return mtime === undefined ? this.#specialAttributes(special) : Errno.EACCES;
  }

  #setNode(node: Node, change: AttributeChange, by: Requester): Eventual<Attributes | Errno> {
    const { size, mtime } = change;
    const sized = size === undefined ? 0 : this.#truncate(node, size, by);
    const timed = whenDone(sized, (result) => {
      if (result < 0 || mtime === undefined) return result;
      return this.#utime(node, mtime, by);
    });
    return whenDone(timed, (result) => {
      if (result < 0) return result as Errno;
      return isGone(node) ? Errno.ENOENT : this.#attributes(node);
    });
  }

  #truncate(node: Node, size: number, by: Requester): Eventual<number> {
    if (isRemoved(node)) {
      return this.#replicator.quorate ? resizeDetached(node, size) : Errno.EACCES;
    }
    const { path } = this.#refresh(node);
    return this.#propose({ kind: "truncate", path, size }, by);
  }

  #utime(node: Node, mtime: number, by: Requester): Eventual<number> {
    if (isRemoved(node)) {
      if (!this.#replicator.quorate) return Errno.EACCES;
      node.detached = { bytes: contentOf(node), mtime };
      return 0;
    }
    return this.#propose({ kind: "utime", path: this.#refresh(node).path, mtime }, by);
  }

  #make(kind: "create" | "mkdir", place: Place, by: Requester): Eventual<Attributes | Errno> {
    if (this.#isSpecial(place)) return Errno.EEXIST;
    const path = this.#pathAt(place);
    if (typeof path === "number") return path;
    // The change may end after its connection: its lookup must not count in the next one.
    const nodes = this.#nodes;
    return whenDone(this.#propose({ kind, path }, by), (result) => {
      if (result < 0) return result as Errno;
      const entry = this.#memdb.find(path);
      return entry === undefined ? Errno.ENOENT : this.#attributes(nodes.lookUp(entry));
    });
  }

  #remove(place: Place, kind: Entry["kind"], by: Requester): Eventual<0 | Errno> {
    if (this.#isSpecial(place)) return Errno.EACCES;
    const path = this.#pathAt(place);
    if (typeof path === "number") return path;
    const entry = this.#memdb.find(path);
    // The kernel has checked the kind; it differs only if another node replaced the entry since.
    if (entry !== undefined && entry.kind !== kind) {
      return kind === "file" ? Errno.EISDIR : Errno.ENOTDIR;
    }
    return this.#proposeNames({ kind: "remove", path }, [path], by);
  }
}

function join(directory: string, name: string): string {
  return directory === "" ? name : `${directory}/${name}`;
}
