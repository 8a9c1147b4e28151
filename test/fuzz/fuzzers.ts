/**
 * The fuzzers: each is a property that must hold for arbitrary bytes. The canary fails, to test
 * that a failure is found and reported.
 */
import fc from "fast-check";
import { Errno } from "../../src/base/errno.ts";
import type { PlainReply } from "../../src/ipc/handler.ts";
import { SetupRequestReader } from "../../src/ipc/setup/handshake.ts";
import { REQUESTS } from "../../src/pmxcfs/requests/table.ts";
import { describe } from "../../src/pmxcfs/requests/wording.ts";
import { ConnectionRequest, ConnectionResponse, QbMessage } from "../../src/wire/qb.ts";
import { RequestHeader, ResponseHeader } from "../../src/wire/qb.ts";
import { char, newSpan, type Span, spanOf, struct } from "../../src/wire/struct.ts";
import { rest, tail, textAt, textList } from "../../src/wire/text.ts";
import { ask, memdbOf, ROOT, servicesOf, WWW_DATA } from "../support/cfs-services.ts";
import { connectionFuzzer } from "./connection.ts";
import { ringReaderFuzzer, ringWriterFuzzer } from "./rings.ts";

/** Bytes with many zeroes and small numbers, as in messages. */
const bytesOf = (maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    fc.uint8Array({ maxLength }),
    fc.array(fc.constantFrom(0, 0, 1, 4, 16, 46, 47, 101, 255), { maxLength }).map((list) => {
      return Uint8Array.from(list);
    }),
  );

/** Two name fields, as GET_STATUS has them. */
const NAMES = struct({ name: char(256), nodeName: char(256) });

const LAYOUTS: readonly { size: number; read: Record<string, (span: Span) => unknown> }[] = [
  RequestHeader,
  ResponseHeader,
  ConnectionRequest,
  ConnectionResponse,
  NAMES,
];

/**
 * Layouts and texts are decoded from arbitrary bytes without a failure, and read back when written.
 */
function codecs(): fc.IProperty<unknown> {
  return fc.property(bytesOf(600), fc.nat(64), fc.nat(6), (bytes, from, count) => {
    const span = newSpan(Math.max(ConnectionResponse.size, bytes.length));
    span.bytes.set(bytes);
    for (const { read } of LAYOUTS) for (const field of Object.values(read)) field(span);
    const id = RequestHeader.read.id(span);
    RequestHeader.write.id(span, id);
    if (RequestHeader.read.id(span) !== id) throw new Error("an id changed");
    const name = NAMES.read.nodeName(span);
    NAMES.write.nodeName(span, name);
    if (NAMES.read.nodeName(span) !== name) throw new Error("a name changed");
    const body = Buffer.from(bytes);
    for (const { id: request, redact } of REQUESTS) {
      describe(request, body);
      redact?.body?.(body);
      redact?.reply?.(body, bytes);
    }
    const exact = spanOf(body);
    const texts = [textAt(exact, from), tail(exact, from), rest(exact, from).toString("latin1")];
    for (const text of texts) if (text.length > bytes.length) throw new Error("a text is longer");
    const list = textList(exact, from, count);
    if (list !== undefined && list.length !== count) throw new Error(`not ${count} texts`);
  });
}

/** The result of a handshake depends on its first 24 bytes, not on how they are split. */
function handshake(): fc.IProperty<unknown> {
  const pieces = fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 8 });
  return fc.property(pieces, fc.boolean(), fc.nat(23), (given, valid, cut) => {
    const proper = newSpan(ConnectionRequest.size);
    ConnectionRequest.write.id(proper, QbMessage.AUTHENTICATE);
    const start = valid ? [proper.bytes.subarray(0, cut), proper.bytes.subarray(cut)] : [];
    const reader = new SetupRequestReader();
    const all = Buffer.concat([...start, ...given]);
    const isValid = all.byteLength >= 4 && all.readInt32LE(0) === QbMessage.AUTHENTICATE;
    let taken = 0;
    for (const piece of [...start, ...given]) {
      const part = piece.subarray(0, reader.missing);
      const wrong = reader.take(part);
      taken += part.length;
      if (reader.missing !== ConnectionRequest.size - taken) throw new Error("bytes were lost");
      if (reader.missing > 0 && wrong !== undefined) throw new Error("refused before its end");
      if (reader.missing > 0) continue;
      if (isValid === (wrong !== undefined)) throw new Error("the id was not checked");
      if (reader.maxMessageBytes !== all.readUInt32LE(16))
        throw new Error("the size read is not the size sent");
      break;
    }
  });
}

function isReply(reply: PlainReply): boolean {
  return reply instanceof Uint8Array || Object.values(Errno).includes(reply);
}

/** Every request gets a reply: bytes or a known errno. */
function dispatch(): fc.IProperty<unknown> {
  const services = servicesOf(
    memdbOf([
      { path: "corosync.conf", content: Buffer.from("totem { }") },
      {
        path: "nodes/pve1/qemu-server/100.conf",
        content: Buffer.from("cores: 2\n[snap]\ncores: 1\n"),
      },
      { path: "nodes/pve1/lxc/101.conf", content: Buffer.from("\0\xff: \n\n[") },
      { path: "priv/token.cfg", content: Buffer.from("root@pam!t secret\n") },
    ]),
  );
  const path = fc.constantFrom("corosync.conf\0", "//priv/token.cfg\0", "../..\0", "rrd/x\0");
  const body = fc.oneof(
    bytesOf(700),
    path.map((text) => Buffer.from(text)),
    fc.tuple(bytesOf(16), path).map(([bytes, text]) => Buffer.concat([bytes, Buffer.from(text)])),
  );
  const id = fc.oneof(fc.integer({ min: -5, max: 20 }), fc.integer());
  return fc.property(id, body, fc.constantFrom(ROOT, WWW_DATA), (number, bytes, caller) => {
    const reply = ask(services, caller, number, bytes);
    if (!isReply(reply)) throw new Error(`request ${number} was answered ${String(reply)}`);
  });
}

/** Fails after few runs. */
function canary(): fc.IProperty<unknown> {
  return fc.property(fc.uint8Array({ minLength: 4, maxLength: 64 }), (bytes) => {
    if (bytes[0] === 0 && (bytes[1] ?? 0) > 128) throw new Error("the canary failed");
  });
}

/** Makes a property; its resources are disposed of with `kept`. */
type Fuzzer = (kept: DisposableStack) => fc.IProperty<unknown>;

/** By name; `bun run fuzz NAME`. */
export const FUZZERS: Readonly<Record<string, Fuzzer>> = {
  codecs,
  handshake,
  "ring-reader": ringReaderFuzzer,
  "ring-writer": ringWriterFuzzer,
  dispatch,
  connection: connectionFuzzer,
  canary,
};
