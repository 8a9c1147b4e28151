/**
 * The unix socket that `trace --fuse` reads: one line of JSON per operation of the mount. Without a
 * reader nothing is decoded. Only root can connect.
 */
import type { Socket } from "bun";
import { errnoName } from "../../base/errno.ts";
import { jsonText } from "../../base/escape.ts";
import { describeRequest } from "../../fuse/describe.ts";
import type { FileSystem } from "../../fuse/file-system.ts";
import type { FuseRequest } from "../../fuse/request.ts";
import type { SessionHooks } from "../../fuse/session.ts";
import { listenAtPath, SocketMask, type UnixListener } from "../../observe/unix-path.ts";

/** Most readers at a time; further ones are closed. */
const MOST_READERS = 8;
/** Most bytes that wait for a slow reader; beyond that, lines are left out and counted. */
const MOST_UNREAD = 1024 * 1024;
const NS_PER_US = 1000;

/** One line, as `trace --fuse --json` prints it. Paths are decoded as UTF-8. */
export interface TracedOperation {
  readonly at_ms: number;
  readonly operation: string;
  readonly path: string;
  readonly arguments: string;
  readonly pid: number;
  readonly uid: number;
  /** `OK` or an errno's name. */
  readonly result: string;
  readonly us: number;
  /** Operations left out before this one because the reader was slow. */
  readonly left_out: number;
}

interface Reader {
  unread: Buffer[];
  unreadBytes: number;
  leftOut: number;
}

function push(socket: Socket<Reader>): void {
  const reader = socket.data;
  while (reader.unread.length > 0) {
    const next = reader.unread[0] ?? Buffer.alloc(0);
    const written = Math.max(0, socket.write(next));
    reader.unreadBytes -= written;
    if (written < next.length) {
      reader.unread[0] = next.subarray(written);
      return;
    }
    reader.unread.shift();
  }
}

/** The trace socket of the server whose status socket is at `statusPath`. */
export function tracePathOf(statusPath: string): string {
  return `${statusPath.replace(/\.status$/, "")}.trace`;
}

export class TraceSocket implements Disposable {
  readonly #hooks: SessionHooks;
  readonly #readers = new Set<Socket<Reader>>();
  #listener: UnixListener | undefined;

  private constructor(hooks: SessionHooks) {
    this.#hooks = hooks;
  }

  /** Listens at `path`; sets `hooks.trace` while a reader is connected. A string says why not. */
  static async open(path: string, hooks: SessionHooks): Promise<TraceSocket | string> {
    const trace = new TraceSocket(hooks);
    const listener = await listenAtPath(path, SocketMask.OWNER, (opened) =>
      Bun.listen<Reader>({
        unix: opened,
        socket: {
          open: (socket) => trace.#came(socket),
          data() {},
          drain: push,
          close: (socket) => trace.#gone(socket),
          error: (socket) => socket.terminate(),
        },
      }),
    );
    if (typeof listener === "string") return listener;
    trace.#listener = listener;
    return trace;
  }

  [Symbol.dispose](): void {
    this.#listener?.close();
  }

  #came(socket: Socket<Reader>): void {
    socket.data = { unread: [], unreadBytes: 0, leftOut: 0 };
    if (this.#readers.size >= MOST_READERS) {
      socket.terminate();
      return;
    }
    this.#readers.add(socket);
    this.#hooks.trace = (request, fs) => this.#traced(request, fs);
  }

  #gone(socket: Socket<Reader>): void {
    this.#readers.delete(socket);
    if (this.#readers.size === 0) delete this.#hooks.trace;
  }

  #traced(request: FuseRequest, fs: FileSystem): (error: number, ns: number) => void {
    const described = describeRequest(request, fs);
    return (error, ns) => {
      for (const socket of this.#readers) {
        const reader = socket.data;
        if (reader.unreadBytes > MOST_UNREAD) {
          reader.leftOut++;
          continue;
        }
        const line: TracedOperation = {
          at_ms: Date.now(),
          ...described,
          path: Buffer.from(described.path, "latin1").toString("utf8"),
          arguments: Buffer.from(described.arguments, "latin1").toString("utf8"),
          result: error === 0 ? "OK" : errnoName(error),
          us: Math.round(ns / NS_PER_US),
          left_out: reader.leftOut,
        };
        reader.leftOut = 0;
        const bytes = Buffer.from(`${jsonText(line)}\n`);
        reader.unread.push(bytes);
        reader.unreadBytes += bytes.length;
        push(socket);
      }
    };
  }
}
