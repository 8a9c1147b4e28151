/**
 * The FUSE session with requests that a kernel does not send: each is answered or dropped, and the
 * next valid one is served. The device is a fake in memory, because no kernel sends such requests.
 */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { addUrgent } from "../../src/base/turns.ts";
import type { FileSystem } from "../../src/fuse/file-system.ts";
import { Answer } from "../../src/fuse/answer.ts";
import { InHeader, InitIn, InitOut, OutHeader } from "../../src/fuse/layouts.ts";
import { negotiate, REQUEST_BYTES } from "../../src/fuse/negotiation.ts";
import { InitFlag, InitFlag2, Opcode } from "../../src/fuse/opcodes.ts";
import { Session, type SessionHooks } from "../../src/fuse/session.ts";
import type { FuseDevice } from "../../src/platform/fuse-device.ts";
import { newSpan, spanOf } from "../../src/wire/struct.ts";

/** A device to which a test adds requests, and from which it takes the answers. */
class MemoryDevice {
  readonly request = Buffer.alloc(REQUEST_BYTES);
  readonly answers: { unique: number; error: number; size: number }[] = [];
  readonly waiting: Buffer[] = [];
  unmounted = false;

  read(): number {
    const next = this.waiting.shift();
    if (next === undefined) return this.unmounted ? Errno.ENODEV : Errno.EAGAIN;
    next.copy(this.request);
    return next.length;
  }

  answer(head: Buffer, size: number, body: Uint8Array = new Uint8Array(0)): number {
    const span = spanOf(head);
    const { uniqueLow, error, length } = OutHeader.read;
    expect(length(span)).toBe(size + body.length);
    this.answers.push({ unique: uniqueLow(span), error: error(span), size: size + body.length });
    return size;
  }
}

function request(opcode: number, unique: number, body: Uint8Array, length?: number): Buffer {
  const span = newSpan(InHeader.size + body.length);
  InHeader.write.length(span, length ?? span.size);
  InHeader.write.opcode(span, opcode);
  InHeader.write.uniqueLow(span, unique);
  InHeader.write.node(span, 1);
  span.bytes.set(body, InHeader.size);
  return span.bytes;
}

const INIT = ((): Buffer => {
  const body = newSpan(InitIn.size);
  InitIn.write.major(body, 7);
  InitIn.write.minor(body, 31);
  return body.bytes;
})();

/** Answers every call with `result`. */
function everything(result: unknown): FileSystem {
  return new Proxy({} as FileSystem, { get: () => () => result });
}

function start(
  fileSystem: FileSystem,
  hooks: SessionHooks = {},
): { device: MemoryDevice; session: Session } {
  const device = new MemoryDevice();
  const session = new Session({
    device: device as unknown as FuseDevice,
    fileSystem,
    log: silentLog,
    requestTimeoutSeconds: 0,
    hooks,
  });
  return { device, session };
}

/** Serves all requests, in several turns if need be: on a busy host a turn ends early. */
function drain(session: Session): void {
  while (session.drain() === "more");
}

test("a request before INIT is answered with EIO, and INIT works after it", () => {
  const { device, session } = start(everything(Errno.ENOENT));
  device.waiting.push(request(Opcode.STATFS, 1, new Uint8Array(0)), request(Opcode.INIT, 2, INIT));
  drain(session);
  expect(device.answers).toEqual([
    { unique: 1, error: Errno.EIO, size: 16 },
    { unique: 2, error: 0, size: 80 },
  ]);
});

test("a kernel of version 8 is answered with 7, one of version 6 is refused", () => {
  const { device, session } = start(everything(Errno.ENOENT));
  const newer = Buffer.from(INIT);
  newer.writeUInt32LE(8, 0);
  const older = Buffer.from(INIT);
  older.writeUInt32LE(6, 0);
  device.waiting.push(request(Opcode.INIT, 1, newer), request(Opcode.INIT, 2, older));
  drain(session);
  expect(device.answers.map(({ error }) => error)).toEqual([0, Errno.EPROTO]);
  expect(session.negotiated).toBeUndefined();
});

test("a timeout that the kernel's 16 bits cannot hold is the longest one, not a short one", () => {
  const body = spanOf(Buffer.from(INIT));
  InitIn.write.flags(body, InitFlag.INIT_EXT);
  InitIn.write.flags2(body, InitFlag2.REQUEST_TIMEOUT);
  for (const [wanted, taken] of [
    [45, 45],
    [65_535, 65_535],
    [65_536, 65_535],
    [65_537, 65_535],
  ] as const) {
    const answer = new Answer();
    expect(negotiate(body, answer, wanted)).toMatchObject({ requestTimeoutSeconds: taken });
    const out = { ...spanOf(answer.bytes), at: OutHeader.size };
    expect(InitOut.read.requestTimeout(out)).toBe(taken);
  }
});

test("short bodies, unterminated names, wrong lengths and unknown opcodes are answered", () => {
  const { device, session } = start(everything(0));
  const name = Buffer.from("name");
  device.waiting.push(
    request(Opcode.INIT, 1, INIT),
    request(Opcode.GETATTR, 2, new Uint8Array(3)),
    request(Opcode.LOOKUP, 3, name),
    request(Opcode.RENAME, 4, Buffer.from(`${"\0".repeat(8)}only-one\0`)),
    request(Opcode.WRITE, 5, new Uint8Array(48)),
    request(Opcode.LOOKUP, 6, name, 4711),
    request(4711, 7, new Uint8Array(8)),
    Buffer.from("too short"),
    request(Opcode.STATFS, 8, new Uint8Array(0)),
  );
  drain(session);
  const errors = device.answers.slice(1).map(({ unique, error }) => [unique, error]);
  expect(errors).toEqual([
    [2, Errno.EINVAL],
    [3, Errno.EINVAL],
    [4, Errno.EINVAL],
    [5, Errno.EINVAL],
    [6, Errno.EIO],
    [7, Errno.ENOSYS],
    [8, 0],
  ]);
});

test("an exception of the file system is answered with EIO, and the session continues", () => {
  const broken = { statfs: () => JSON.parse("{") as never } as unknown as FileSystem;
  const { device, session } = start(broken);
  device.waiting.push(request(Opcode.INIT, 1, INIT), request(Opcode.STATFS, 2, new Uint8Array(0)));
  drain(session);
  expect(device.answers.at(-1)).toEqual({ unique: 2, error: Errno.EIO, size: 16 });
});

test("random bytes end neither the session nor the process", () => {
  const { device, session } = start(everything(Errno.ENOENT));
  device.waiting.push(request(Opcode.INIT, 1, INIT));
  drain(session);
  let state = 4711;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state % below;
  };
  for (let round = 0; round < 5000; round++) {
    const body = Buffer.from(Array.from({ length: random(120) }, () => random(256)));
    const length = random(4) === 0 ? random(200) : undefined;
    device.waiting.push(request(random(60), 2 + round, body, length));
    drain(session);
  }
  device.waiting.push(request(Opcode.GETATTR, 1, new Uint8Array(16)));
  drain(session);
  expect(session.ended).toBe(false);
  expect(device.answers.at(-1)).toEqual({ unique: 1, error: Errno.ENOENT, size: 16 });
});

test("a change that waits does not block others; an interrupt ends it after 1 s", async () => {
  let signal: AbortSignal | undefined;
  const { promise, resolve } = Promise.withResolvers<number>();
  const fileSystem = {
    mkdir(_parent: number, _name: string, by: { signal: AbortSignal }) {
      ({ signal } = by);
      signal.addEventListener("abort", () => resolve(Errno.EINTR));
      return promise;
    },
    statfs: () => Errno.ENOENT,
    describe: () => "",
  } as unknown as FileSystem;
  const { device, session } = start(fileSystem);
  const interrupt = Buffer.alloc(8);
  interrupt.writeUInt32LE(2, 0);
  device.waiting.push(
    request(Opcode.INIT, 1, INIT),
    request(Opcode.MKDIR, 2, Buffer.from(`${"\0".repeat(8)}d\0`)),
    request(Opcode.STATFS, 3, new Uint8Array(0)),
    request(Opcode.INTERRUPT, 3, interrupt),
  );
  drain(session);
  expect(device.answers.map(({ unique }) => unique)).toEqual([1, 3]);
  expect(session.pendingCount).toBe(1);
  expect(signal?.aborted).toBe(false);
  const [pending] = session.pending;
  await promise;
  expect(pending?.asker.ageMs).toBeGreaterThan(900);
  await Promise.resolve();
  await Bun.sleep(1);
  expect(device.answers.at(-1)).toEqual({ unique: 2, error: Errno.EINTR, size: 16 });
  expect(session.pendingCount).toBe(0);
});

const MKDIR_BODY = Buffer.from(`${"\0".repeat(8)}d\0`);

/** A session with a MKDIR that its hook delays, and the promise that ends the delay. */
function delayedMkdir(): {
  readonly device: MemoryDevice;
  readonly session: Session;
  readonly made: string[];
  readonly traced: { readonly error: number; readonly ns: number }[];
  go(): Promise<void>;
} {
  const { promise, resolve } = Promise.withResolvers<number>();
  const made: string[] = [];
  const traced: { error: number; ns: number }[] = [];
  const fileSystem = {
    mkdir(_parent: number, name: string) {
      made.push(name);
      return Errno.EACCES;
    },
  } as unknown as FileSystem;
  const { device, session } = start(fileSystem, {
    intercept: () => promise,
    trace: () => (error, ns) => void traced.push({ error, ns }),
  });
  device.waiting.push(request(Opcode.INIT, 1, INIT), request(Opcode.MKDIR, 2, MKDIR_BODY));
  drain(session);
  const go = async (): Promise<void> => {
    resolve(0);
    await promise;
    await Bun.sleep(1);
  };
  return { device, session, made, traced, go };
}

test("a request that a hook delays is traced with its result and the delay", async () => {
  const { device, made, traced, go } = delayedMkdir();
  const endsAt = performance.now() + 20;
  while (performance.now() < endsAt);
  expect(made).toEqual([]);
  await go();
  expect(made).toEqual(["d"]);
  expect(device.answers.at(-1)).toEqual({ unique: 2, error: Errno.EACCES, size: 16 });
  expect(traced.map(({ error }) => error)).toEqual([Errno.EACCES]);
  expect(traced[0]?.ns).toBeGreaterThan(15_000_000);
});

test("a request that a hook delays beyond the unmount changes nothing", async () => {
  const { device, session, made, go } = delayedMkdir();
  device.unmounted = true;
  drain(session);
  expect(session.ended).toBe(true);
  await go();
  expect(made).toEqual([]);
  expect(device.answers.map(({ unique }) => unique)).toEqual([1]);
});

test("urgent work is done between the requests of one turn", () => {
  let served = 0;
  const slowly = (): Errno => {
    // Longer than urgent work may wait, and shorter than a turn.
    const until = performance.now() + 0.3;
    while (performance.now() < until);
    served++;
    return Errno.ENOENT;
  };
  const fileSystem = new Proxy({} as FileSystem, { get: () => slowly });
  const { device, session } = start(fileSystem);
  device.waiting.push(request(Opcode.INIT, 1, INIT));
  drain(session);
  let looks: number[] = [];
  using _urgent = addUrgent(() => looks.push(served));
  // Again if this process was not scheduled for a while: the time of the turn is over then.
  let wereBetween = false;
  for (let turn = 0; turn < 1000 && !wereBetween; turn++) {
    for (let unique = 2; unique < 8; unique++) {
      device.waiting.push(request(Opcode.GETATTR, unique, new Uint8Array(16)));
    }
    looks = [];
    const before = served;
    session.drain();
    wereBetween = looks.some((at) => at > before && at < served);
    drain(session);
  }
  expect(wereBetween).toBe(true);
});

test("the kernel is told of changes only if it was sent something since the last time", () => {
  const { device, session } = start(everything(Errno.ENOENT));
  const notices = (): number => device.answers.filter(({ unique }) => unique === 0).length;
  // The kernel may have answers of the server before this one.
  session.expireNames();
  expect(notices()).toBe(1);
  session.expireNames();
  expect(notices()).toBe(1);
  device.waiting.push(request(Opcode.INIT, 1, INIT));
  drain(session);
  session.expireNames();
  session.expireNames();
  expect(notices()).toBe(2);
});
