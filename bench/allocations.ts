/**
 * The bytes of heap that a request takes: serves a libqb client in a process without garbage
 * collection, and prints the growth of the heap per request.
 *
 *   BUN_JSC_useGC=0 bun bench/allocations.ts HANDLER --requests N [flags of qb-load]
 */
import { heapStats } from "bun:jsc";
import { EMPTY_REPLY, type Handler, type Reply, Server } from "../src/index.ts";
import { loadService } from "../test/support/qb-load.ts";
import { uniqueName } from "../test/support/service.ts";

let made: unknown;

/** The handlers: they allocate nothing, a view, a promise, and an object with two fields. */
const HANDLERS = {
  empty: () => EMPTY_REPLY,
  echo: ({ span }) => span.bytes.subarray(span.at, span.at + span.size),
  late: () => Promise.resolve<Reply>(EMPTY_REPLY),
  object: ({ id, span }) => {
    made = { id, size: span.size };
    return EMPTY_REPLY;
  },
} satisfies Record<string, Handler["handle"]>;

export type HandlerName = keyof typeof HANDLERS;

/** Round trips before the measurement, because compiled code is on the heap. */
const WARM_UP = ["--requests", "50000"];
const WARM_UPS = 3;

/** Bytes of heap per request of a load, measured in a new process. */
export async function allocatedPerRequest(
  handler: HandlerName,
  ...flags: string[]
): Promise<number> {
  const child = Bun.spawn([process.execPath, import.meta.path, handler, ...flags], {
    env: { ...process.env, BUN_JSC_useGC: "0" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [text, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(errors);
  return (JSON.parse(text) as { bytes: number }).bytes;
}

/** Bytes of heap without external memory: the views of the rings, 6 MiB per connection. */
function heapBytes(): number {
  const { heapCapacity, extraMemorySize } = heapStats();
  return heapCapacity - extraMemorySize;
}

async function serve(handler: string, flags: readonly string[]): Promise<number> {
  const handle = HANDLERS[handler as HandlerName];
  const server = Server.start(uniqueName("heap"), { authenticate: () => "read-write", handle });
  if (!(server instanceof Server)) throw new Error(server.message);
  for (let i = 0; i < WARM_UPS; i++) await loadService(server.name, ...flags, ...WARM_UP);
  const before = heapBytes();
  const { requests, errors } = await loadService(server.name, ...flags);
  const bytes = heapBytes() - before;
  await server.stop();
  if (errors > 0) throw new Error(`${errors} requests of ${requests} failed`);
  return bytes / requests;
}

if (import.meta.main) {
  const [handler = "", ...flags] = process.argv.slice(2);
  console.log(JSON.stringify({ bytes: await serve(handler, flags), made: made !== undefined }));
  process.exit(0);
}
