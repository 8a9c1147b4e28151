/**
 * The layouts of src/wire/qb.ts against libqb: sizes and offsets of its headers, a ring made
 * through its API, and the first bytes of its client (test/native/layout.c prints all three); and
 * the set-up answer of a C server.
 */
import { beforeAll, expect, test } from "bun:test";
import {
  ChunkMagic,
  ConnectionRequest,
  ConnectionResponse,
  QB_IPC_SHM,
  QbMessage,
  RequestHeader,
  ResponseHeader,
  RingHeader,
} from "../../src/wire/qb.ts";
import { newSpan, spanOf } from "../../src/wire/struct.ts";
import { native } from "../support/native.ts";
import { RawClient } from "../support/raw-client.ts";
import { startService } from "../support/service.ts";

interface Layout {
  request: { size: number; offset: Record<string, number> };
  response: { size: number; offset: Record<string, number> };
  messages: Record<string, number>;
  semaphoreBytes: number;
  sharedMemory: number;
  handshake: string;
  ring: Record<string, number>;
}

let c: Layout;

beforeAll(() => {
  c = JSON.parse(Bun.spawnSync([native("layout")]).stdout.toString()) as Layout;
});

test("message headers have libqb's sizes and offsets", () => {
  expect({ size: RequestHeader.size, offset: RequestHeader.offset }).toEqual(
    c.request as typeof RequestHeader,
  );
  expect({ size: ResponseHeader.size, offset: ResponseHeader.offset }).toEqual(
    c.response as typeof ResponseHeader,
  );
  expect(QbMessage).toEqual(c.messages as typeof QbMessage);
  expect(QB_IPC_SHM).toBe(c.sharedMemory as typeof QB_IPC_SHM);
});

test("the first bytes of a libqb client are a ConnectionRequest", () => {
  const request = newSpan(ConnectionRequest.size);
  ConnectionRequest.write.id(request, QbMessage.AUTHENTICATE);
  ConnectionRequest.write.size(request, ConnectionRequest.size);
  ConnectionRequest.write.maxMessageBytes(request, 1 << 20);
  expect(c.handshake).toBe(request.bytes.toString("hex"));
});

test("a ring file of libqb has the offsets of RingHeader, and its chunk the live magic", () => {
  expect(c.ring).toMatchObject({
    fileBytes: RingHeader.fileBytes,
    headerPath: RingHeader.headerPath,
    dataPath: RingHeader.dataPath,
    flowControl: RingHeader.flowControl,
    refCount: 1,
    semaphoreValue: 1,
    semaphorePrivate: 128,
    chunkBytes: 6,
    chunkMagic: ChunkMagic.LIVE >>> 0,
    // Two words of chunk header and six bytes.
    writePtAfterSix: 4,
    readPt: 0,
  });
  expect(c.semaphoreBytes).toBe(RingHeader.flowControl - RingHeader.semaphore);
});

test("the set-up answer of a C server is a ConnectionResponse", async () => {
  await using server = await startService((name) => [native("qb-echo-server"), name]);
  await using client = await RawClient.open(server.name);
  await client.write(Buffer.from(c.handshake, "hex"));
  const answer = spanOf((await client.read(ConnectionResponse.size)).bytes);
  expect(answer.size).toBe(ConnectionResponse.size);
  expect(ConnectionResponse.read.id(answer)).toBe(QbMessage.AUTHENTICATE);
  expect(ConnectionResponse.read.size(answer)).toBe(ConnectionResponse.size);
  expect(ConnectionResponse.read.error(answer)).toBe(0);
  expect(ConnectionResponse.read.connectionType(answer)).toBe(QB_IPC_SHM);
  expect(ConnectionResponse.read.maxMessageBytes(answer)).toBe(1 << 20);
  const directory = `/dev/shm/qb-${server.pid}-${client.pid}-`;
  for (const ring of ["request", "response", "event"] as const) {
    const prefix = ConnectionResponse.read[ring](answer);
    expect(prefix).toStartWith(directory);
    expect(prefix).toEndWith(`/qb-${ring}-${server.name}`);
  }
});
