/**
 * The operations of a file system, one row each: how many bytes the request must have, how it is
 * decoded and passed on, how the result is encoded. An opcode without a row is answered ENOSYS:
 * the kernel does not send it again (flush, xattr, lseek), or the call fails (symlink).
 */
import { Errno } from "../base/errno.ts";
import type { Answer } from "./answer.ts";
import type {
  AddEntry,
  AttributeChange,
  Attributes,
  Created,
  Eventual,
  FileSystem,
  FileSystemFigures,
  Opened,
  Requester,
} from "./file-system.ts";
import {
  CreateIn,
  GetattrIn,
  MkdirIn,
  MknodIn,
  OpenIn,
  ReadIn,
  ReleaseIn,
  Rename2In,
  RenameIn,
  SetattrIn,
  WriteIn,
} from "./layouts.ts";
import { GETATTR_HANDLE, Opcode, SetattrValid } from "./opcodes.ts";
import type { FuseRequest } from "./request.ts";

/** One operation. `T` is the file system's result when it is not an errno. */
interface Row<T> {
  /** Least bytes of the body; fewer are answered EINVAL. */
  readonly bytes: number;
  /** Calls the file system. `by` is real only in rows with `changes`. */
  ask(fs: FileSystem, request: FuseRequest, by: Requester, answer: Answer): Eventual<T | number>;
  encode(answer: Answer, result: T): void;
  /** It changes the tree: its result may be a promise, and `by` is the process that sent it. */
  readonly changes?: boolean;
}

/** A row of the table. The result's type is erased: a row encodes only its own results. */
export type Operation = Row<never>;

const nothing = (answer: Answer): void => answer.empty();
const entry = (answer: Answer, result: Attributes): void => answer.entry(result);
const attributes = (answer: Answer, result: Attributes): void => answer.attributes(result);
const opened = (answer: Answer, result: Opened): void => answer.opened(result);
const listed = (): void => {};

/** READDIR's `size` is the room in the reader's buffer. */
function adder(answer: Answer, request: FuseRequest): AddEntry {
  const most = ReadIn.read.size(request.body);
  return (name, node, type, offset) => answer.add(most, name, node, type, offset);
}

function changeOf({ body }: FuseRequest): AttributeChange {
  const { read } = SetattrIn;
  const valid = read.valid(body);
  const has = (flag: number): boolean => (valid & flag) !== 0;
  const bothTimes = has(SetattrValid.ATIME) && has(SetattrValid.MTIME);
  return {
    mode: has(SetattrValid.MODE) ? read.mode(body) : undefined,
    uid: has(SetattrValid.UID) ? read.uid(body) : undefined,
    gid: has(SetattrValid.GID) ? read.gid(body) : undefined,
    size: has(SetattrValid.SIZE) ? read.size(body) : undefined,
    mtime: bothTimes ? read.mtimeLow(body) : undefined,
    isOpen: has(SetattrValid.HANDLE),
  };
}

/** Calls `ask` with the name at `from`; EINVAL when there is none. */
function named<T>(request: FuseRequest, from: number, ask: (name: string) => T): T | Errno {
  const name = request.name(from);
  return name === undefined ? Errno.EINVAL : ask(name);
}

function rename(
  fs: FileSystem,
  request: FuseRequest,
  by: Requester,
  { from, flags }: { readonly from: number; readonly flags: number },
): Eventual<number> {
  const name = request.name(from);
  const target = name === undefined ? undefined : request.name(from + name.length + 1);
  if (name === undefined || target === undefined) return Errno.EINVAL;
  const directory = RenameIn.read.directory(request.body);
  return fs.rename({ parent: request.node, name }, { parent: directory, name: target }, flags, by);
}

const LOOKUP: Row<Attributes> = {
  bytes: 2,
  ask: (fs, request) => named(request, 0, (name) => fs.lookup(request.node, name, request.pid)),
  encode: entry,
};

const GETATTR: Row<Attributes> = {
  bytes: GetattrIn.size,
  ask(fs, { node, body }) {
    const hasHandle = (GetattrIn.read.flags(body) & GETATTR_HANDLE) !== 0;
    return fs.getattr(node, hasHandle ? GetattrIn.read.handle(body) : undefined);
  },
  encode: attributes,
};

const SETATTR: Row<Attributes> = {
  bytes: SetattrIn.size,
  changes: true,
  ask: (fs, request, by) => fs.setattr(request.node, changeOf(request), by),
  encode: attributes,
};

const READLINK: Row<string> = {
  bytes: 0,
  ask: (fs, { node }) => fs.readlink(node),
  encode: (answer, target) => answer.data(Buffer.from(target, "latin1")),
};

const MKNOD: Row<Attributes> = {
  bytes: MknodIn.size + 2,
  changes: true,
  ask(fs, request, by) {
    const mode = MknodIn.read.mode(request.body);
    return named(request, MknodIn.size, (name) => fs.mknod(request.node, name, mode, by));
  },
  encode: entry,
};

const MKDIR: Row<Attributes> = {
  bytes: MkdirIn.size + 2,
  changes: true,
  ask: (fs, request, by) =>
    named(request, MkdirIn.size, (name) => fs.mkdir(request.node, name, by)),
  encode: entry,
};

const UNLINK: Row<0> = {
  bytes: 2,
  changes: true,
  ask: (fs, request, by) => named(request, 0, (name) => fs.unlink(request.node, name, by)),
  encode: nothing,
};

const RMDIR: Row<0> = {
  bytes: 2,
  changes: true,
  ask: (fs, request, by) => named(request, 0, (name) => fs.rmdir(request.node, name, by)),
  encode: nothing,
};

const RENAME: Row<0> = {
  bytes: RenameIn.size + 4,
  changes: true,
  ask: (fs, request, by) => rename(fs, request, by, { from: RenameIn.size, flags: 0 }),
  encode: nothing,
};

const RENAME2: Row<0> = {
  bytes: Rename2In.size + 4,
  changes: true,
  ask(fs, request, by) {
    const flags = Rename2In.read.flags(request.body);
    return rename(fs, request, by, { from: Rename2In.size, flags });
  },
  encode: nothing,
};

const OPEN: Row<Opened> = {
  bytes: OpenIn.size,
  ask: (fs, { node, body, pid }) => fs.open(node, OpenIn.read.flags(body), pid),
  encode: opened,
};

const READ: Row<Uint8Array> = {
  bytes: ReadIn.size,
  ask(fs, { node, body }) {
    const { handle, offset, size } = ReadIn.read;
    return fs.read(node, handle(body), offset(body), size(body));
  },
  encode: (answer, content) => answer.data(content),
};

const WRITE: Row<number> = {
  bytes: WriteIn.size,
  changes: true,
  ask(fs, request, by) {
    const { node, body } = request;
    const written = request.rest(WriteIn.size);
    if (WriteIn.read.size(body) !== written.length) return Errno.EINVAL;
    const at = { handle: WriteIn.read.handle(body), offset: WriteIn.read.offset(body) };
    return fs.write(node, at, written, by);
  },
  encode: (answer, size) => answer.written(size),
};

const STATFS: Row<FileSystemFigures> = {
  bytes: 0,
  ask: (fs) => fs.statfs(),
  encode: (answer, figures) => answer.figures(figures),
};

const RELEASE: Row<0> = {
  bytes: ReleaseIn.size,
  ask(fs, { node, body }) {
    fs.release(node, ReleaseIn.read.handle(body));
    return 0;
  },
  encode: nothing,
};

/** For FSYNC and FSYNCDIR. */
const FSYNC: Row<0> = {
  bytes: 0,
  ask: (fs) => fs.fsync(),
  encode: nothing,
};

const OPENDIR: Row<Opened> = {
  bytes: OpenIn.size,
  ask: (fs, { node }) => fs.opendir(node),
  encode: opened,
};

const READDIR: Row<0> = {
  bytes: ReadIn.size,
  ask(fs, request, _by, answer) {
    const { handle, offset } = ReadIn.read;
    answer.listing();
    const { node, body } = request;
    return fs.readdir(node, handle(body), offset(body), adder(answer, request));
  },
  encode: listed,
};

const RELEASEDIR: Row<0> = {
  bytes: ReleaseIn.size,
  ask(fs, { node, body }) {
    fs.releasedir(node, ReleaseIn.read.handle(body));
    return 0;
  },
  encode: nothing,
};

const CREATE: Row<Created> = {
  bytes: CreateIn.size + 2,
  changes: true,
  ask: (fs, request, by) =>
    named(request, CreateIn.size, (name) => fs.create(request.node, name, by)),
  encode: (answer, created) => answer.created(created),
};

/** By opcode. */
export const OPERATIONS: ReadonlyMap<number, Operation> = new Map<number, Row<never>>([
  [Opcode.LOOKUP, LOOKUP as Operation],
  [Opcode.GETATTR, GETATTR as Operation],
  [Opcode.SETATTR, SETATTR as Operation],
  [Opcode.READLINK, READLINK as Operation],
  [Opcode.MKNOD, MKNOD as Operation],
  [Opcode.MKDIR, MKDIR as Operation],
  [Opcode.UNLINK, UNLINK as Operation],
  [Opcode.RMDIR, RMDIR as Operation],
  [Opcode.RENAME, RENAME as Operation],
  [Opcode.RENAME2, RENAME2 as Operation],
  [Opcode.OPEN, OPEN as Operation],
  [Opcode.READ, READ as Operation],
  [Opcode.WRITE, WRITE as Operation],
  [Opcode.STATFS, STATFS as Operation],
  [Opcode.RELEASE, RELEASE as Operation],
  [Opcode.FSYNC, FSYNC as Operation],
  [Opcode.FSYNCDIR, FSYNC as Operation],
  [Opcode.OPENDIR, OPENDIR as Operation],
  [Opcode.READDIR, READDIR as Operation],
  [Opcode.RELEASEDIR, RELEASEDIR as Operation],
  [Opcode.CREATE, CREATE as Operation],
]);
