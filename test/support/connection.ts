/** A server's connection over rings in /dev/shm, without a service and without a client. */
import {
  Connection,
  type ConnectionCallbacks,
  type SetupChannel,
} from "../../src/ipc/connection/connection.ts";
import type { Handler } from "../../src/ipc/handler.ts";
import { RequestBuffers } from "../../src/ipc/connection/request-buffers.ts";
import { PollLimits } from "../../src/base/limits.ts";
import { RingDirectory, SHM } from "../../src/shm/ring-directory.ts";
import { Directory } from "../../src/platform/files.ts";
import { PAGE_BYTES } from "../../src/platform/memory.ts";
import { RingWriter } from "../../src/shm/ring.ts";
import { RequestHeader } from "../../src/wire/qb.ts";

/** The largest message that fits in rings of one page. */
export const MAX_MESSAGE = PAGE_BYTES - 13;

/** Makes a directory of rings of `bytes` each, which is disposed of with `kept`. */
export function makeRings(
  name: string,
  kept: DisposableStack,
  bytes: number = PAGE_BYTES,
): RingDirectory {
  const shm = Directory.open(SHM);
  if (typeof shm === "number") throw new Error(`${SHM}: errno ${-shm}`);
  kept.use(shm);
  const made = RingDirectory.make(shm, `${name}-${process.pid}`, bytes);
  if (typeof made === "number") throw new Error(`no rings: errno ${-made}`);
  return kept.use(made);
}

/** A function that writes a request with id 1 and this body to the request ring of `rings`. */
export function asker({ set }: RingDirectory): (body?: Uint8Array) => void {
  const client = new RingWriter(set.rings.request);
  return (body = new Uint8Array(0)) => {
    const size = RequestHeader.size + body.length;
    const at = client.allocChunk(size);
    const { words, bytes } = client.memory;
    words[(at + RequestHeader.offset.id) >> 2] = 1;
    words[(at + RequestHeader.offset.size) >> 2] = size;
    bytes.set(body, at + RequestHeader.size);
    client.commit();
  };
}

/** Callbacks of a service that accepts every client and does nothing else; `more` replaces some. */
export function hostOf(
  handle: Handler["handle"],
  more: Partial<ConnectionCallbacks> = {},
): ConnectionCallbacks {
  return {
    handler: { authenticate: () => "read-write", handle },
    buffers: new RequestBuffers(PAGE_BYTES),
    queuedRequests: 8,
    outstandingNotifies: 3,
    poll: PollLimits,
    onStalled: () => {},
    onMore: () => {},
    onEnded: () => {},
    dispose: () => {},
    ...more,
  };
}

const SILENT: SetupChannel = {
  fd: -1,
  close: () => {},
  notify: (count) => count,
  setQuiet: () => {},
};

/** Connection `number` over `rings`, with a client of uid 0. */
export function connectionOver(
  rings: RingDirectory,
  host: ConnectionCallbacks,
  number = 1,
  channel = SILENT,
): Connection {
  const caller = { pid: 1, uid: 0, gid: 0, permissions: "read-write" } as const;
  return new Connection(number, caller, rings, MAX_MESSAGE, channel, host);
}
