/** Requests as text, for traces and fault rules: operation, path, arguments. */
import type { FileSystem } from "./file-system.ts";
import {
  CreateIn,
  MkdirIn,
  MknodIn,
  OpenIn,
  ReadIn,
  Rename2In,
  RenameIn,
  SetattrIn,
  WriteIn,
} from "./layouts.ts";
import { Opcode, opcodeName, SetattrValid } from "./opcodes.ts";
import type { FuseRequest } from "./request.ts";

/** Offset of the (first) name in the body, for the operations that have one. */
const NAME_AT: ReadonlyMap<number, number> = new Map([
  [Opcode.LOOKUP, 0],
  [Opcode.MKNOD, MknodIn.size],
  [Opcode.MKDIR, MkdirIn.size],
  [Opcode.UNLINK, 0],
  [Opcode.RMDIR, 0],
  [Opcode.RENAME, RenameIn.size],
  [Opcode.RENAME2, Rename2In.size],
  [Opcode.CREATE, CreateIn.size],
]);

/** The path of a request, latin1, relative to the mount; "" is the root. */
export function pathOfRequest(request: FuseRequest, fs: FileSystem): string {
  const at = NAME_AT.get(request.opcode);
  return fs.describe(request.node, at === undefined ? undefined : request.name(at));
}

function renameTarget(request: FuseRequest, fs: FileSystem, at: number): string {
  const name = request.name(at) ?? "";
  const directory = RenameIn.read.directory(request.body);
  return `to=${fs.describe(directory, request.name(at + name.length + 1))}`;
}

function setattrText({ body }: FuseRequest): string {
  const { read } = SetattrIn;
  const valid = read.valid(body);
  const parts: readonly (readonly [number, string])[] = [
    [SetattrValid.MODE, `mode=0${(read.mode(body) & 0o7777).toString(8)}`],
    [SetattrValid.UID, `uid=${read.uid(body)}`],
    [SetattrValid.GID, `gid=${read.gid(body)}`],
    [SetattrValid.SIZE, `size=${read.size(body)}`],
    [SetattrValid.ATIME, "atime"],
    [SetattrValid.MTIME, `mtime=${read.mtimeLow(body)}`],
  ];
  return parts
    .filter(([flag]) => (valid & flag) !== 0)
    .map(([, text]) => text)
    .join(" ");
}

/** Arguments besides the path, or "". The body's length was checked against the row before. */
function argumentsText(request: FuseRequest, fs: FileSystem): string {
  const { body } = request;
  switch (request.opcode) {
    case Opcode.READ:
    case Opcode.READDIR:
      return `offset=${ReadIn.read.offset(body)} size=${ReadIn.read.size(body)}`;
    case Opcode.WRITE:
      return `offset=${WriteIn.read.offset(body)} size=${WriteIn.read.size(body)}`;
    case Opcode.OPEN:
      return `flags=0x${OpenIn.read.flags(body).toString(16)}`;
    case Opcode.SETATTR:
      return setattrText(request);
    case Opcode.RENAME:
      return renameTarget(request, fs, RenameIn.size);
    case Opcode.RENAME2:
      return renameTarget(request, fs, Rename2In.size);
    default:
      return "";
  }
}

/** One request as a trace shows it. */
export interface DescribedRequest {
  readonly operation: string;
  /** Latin1. */
  readonly path: string;
  readonly arguments: string;
  readonly pid: number;
  readonly uid: number;
}

/** `write`, `storage.cfg`, `offset=0 size=12`. Call it before the request is performed. */
export function describeRequest(request: FuseRequest, fs: FileSystem): DescribedRequest {
  return {
    operation: opcodeName(request.opcode),
    path: pathOfRequest(request, fs),
    arguments: argumentsText(request, fs),
    pid: request.pid,
    uid: request.uid,
  };
}
