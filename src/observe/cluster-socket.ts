/**
 * The unix socket on which `pmxcfs-ipc cluster` asks a running server: the request is one word, the
 * answer JSON lines. `view` is answered once, `verify` starts a verification, `watch` sends events
 * until the reader closes. Only root and the server's own user can connect. A reader that does not
 * watch is disconnected after `ObserveLimits.statusReadMs`.
 */
import { mkdirSync, rmdirSync } from "node:fs";
import { dirname } from "node:path";
import { errorText } from "../base/error-text.ts";
import { jsonText } from "../base/escape.ts";
import { ObserveLimits } from "../base/limits.ts";
import { BoundedConnections } from "./bounded-connections.ts";
import type { Running } from "./endpoint.ts";
import { statusPath } from "./status.ts";
import { listenAtPath, SocketMask } from "./unix-path.ts";

/** Watchers at once; further ones are closed. */
const WATCHERS = 8;
/** Bytes that a slow watcher may have pending before it is closed. */
const UNREAD_BYTES = 1024 * 1024;

/** The requests on the socket. */
export type ClusterQuestion = "view" | "verify" | "watch";

/** The source of the answers. */
export interface ClusterSource {
  /** The answer to `view`. */
  view(): object;
  /** Starts a verification; false when it is not possible now. */
  verify(): boolean;
  /** Calls `observer` with each event, until `watch(undefined)`. */
  watch(observer: ((event: object) => void) | undefined): void;
}

/** The path of a service's socket; undefined when this user has no directory for it. */
export function clusterSocketPath(
  service: string,
  environment: Readonly<Record<string, string | undefined>>,
  uid: number | undefined,
): string | undefined {
  return statusPath(service, environment, uid)?.replace(/\.status$/, ".cluster");
}

interface Reader {
  unsent: Buffer;
}
type Socket = Bun.Socket<Reader>;

class ClusterSocket {
  readonly #source: ClusterSource;
  /** Those that do not watch. */
  readonly #readers = new BoundedConnections<Reader>({
    atOnce: ObserveLimits.statusReaders,
    forMs: ObserveLimits.statusReadMs,
  });
  readonly #watchers = new Set<Socket>();

  constructor(source: ClusterSource) {
    this.#source = source;
  }

  opened(socket: Socket): void {
    socket.data = { unsent: Buffer.alloc(0) };
    this.#readers.add(socket);
  }

  asked(socket: Socket, question: string): void {
    switch (question.trim()) {
      case "view":
        return this.#answer(socket, this.#source.view());
      case "verify":
        return this.#answer(socket, { started: this.#source.verify() });
      case "watch":
        return this.#watch(socket);
      default:
        socket.terminate();
        return undefined;
    }
  }

  closed(socket: Socket): void {
    this.#readers.remove(socket);
    if (this.#watchers.delete(socket) && this.#watchers.size === 0) this.#source.watch(undefined);
  }

  drain(socket: Socket): void {
    const { unsent } = socket.data;
    if (unsent.length > 0) socket.data.unsent = unsent.subarray(Math.max(0, socket.write(unsent)));
    if (socket.data.unsent.length === 0 && !this.#watchers.has(socket)) socket.end();
  }

  #watch(socket: Socket): void {
    if (this.#watchers.has(socket)) return;
    if (this.#watchers.size >= WATCHERS) {
      socket.terminate();
      return;
    }
    this.#readers.remove(socket);
    this.#watchers.add(socket);
    if (this.#watchers.size === 1) this.#source.watch((event) => this.#publish(event));
  }

  #answer(socket: Socket, answer: object): void {
    this.#send(socket, answer);
    this.drain(socket);
  }

  #publish(event: object): void {
    for (const socket of this.#watchers) this.#send(socket, event);
  }

  #send(socket: Socket, value: object): void {
    const line = Buffer.from(`${jsonText(value)}\n`);
    socket.data.unsent = Buffer.concat([socket.data.unsent, line]);
    if (socket.data.unsent.length > UNREAD_BYTES) socket.terminate();
    else
      socket.data.unsent = socket.data.unsent.subarray(
        Math.max(0, socket.write(socket.data.unsent)),
      );
  }
}

/** Serves the socket at `path`; a string says why that failed. */
export async function serveCluster(path: string, source: ClusterSource): Promise<Running | string> {
  const directory = dirname(path);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
  } catch (error) {
    return `cluster: cannot make ${directory}: ${errorText(error)}`;
  }
  const served = new ClusterSocket(source);
  const listener = await listenAtPath(path, SocketMask.OWNER, (opened) =>
    Bun.listen<Reader>({
      unix: opened,
      socket: {
        open: (socket) => served.opened(socket),
        data: (socket, bytes) => served.asked(socket, bytes.toString("latin1")),
        drain: (socket) => served.drain(socket),
        close: (socket) => served.closed(socket),
        error: (socket) => {
          socket.terminate();
        },
      },
    }),
  );
  if (typeof listener === "string") return `cluster: ${listener}`;
  return {
    close() {
      listener.close();
      removeEmpty(directory);
    },
  };
}

function removeEmpty(directory: string): void {
  try {
    rmdirSync(directory);
  } catch {
    // The directory holds another server's socket.
  }
}
