/**
 * The runner's own echo server that also sends events and applies flow control on request; the
 * requests are listed in cases/control.ts. Runs as a child process until SIGTERM.
 */
import { Service } from "../../ipc/service.ts";
import type { Handler, Peer, Reply, Request } from "../../ipc/handler.ts";
import { stopRequested } from "../../platform/signals.ts";
import { ControlId, HOLD_MS, u32Bytes } from "./cases/control.ts";

function sendEvents(peers: Iterable<Peer>, count: number): void {
  for (const peer of peers) {
    for (let number = 0; number < count; number++) {
      peer.sendEvent(ControlId.EVENT, u32Bytes(number));
    }
  }
}

function hold(peers: ReadonlySet<Peer>, level: number): void {
  if (level !== 1 && level !== 2) return;
  for (const peer of peers) peer.holdRequests(level);
  setTimeout(() => {
    for (const peer of peers) peer.holdRequests(0);
  }, HOLD_MS);
}

function controlHandler(): Handler {
  const peers = new Set<Peer>();
  return {
    authenticate: () => "read-write",
    connected: (peer) => void peers.add(peer),
    disconnected: (peer) => void peers.delete(peer),
    handle({ id, span, peer }: Request): Reply {
      const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
      const value = body.byteLength >= 4 ? body.readUInt32LE(0) : 0;
      // The answer must be sent first.
      if (id === ControlId.EVENTS) setImmediate(sendEvents, [peer], value);
      if (id === ControlId.BROADCAST) setImmediate(sendEvents, peers, value);
      if (id === ControlId.HOLD) setImmediate(hold, peers, value);
      return body;
    },
  };
}

/** Serves `name` until SIGTERM; a string is the reason why it cannot. */
export async function runControlServer(name: string): Promise<string | undefined> {
  const stop = stopRequested();
  const service = Service.start(name, controlHandler());
  if (!(service instanceof Service)) return service.message;
  await stop;
  await service.stop();
  return undefined;
}
