/** Servers that are absent, refuse, hang, lie or truncate: calls end in time with the reason. */
import { describe, expect, test } from "bun:test";
import { ftruncateSync } from "node:fs";
import { Errno } from "../../src/base/errno.ts";
import { QbFailure, type QbFailureKind } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { closeDescriptor, openFile } from "../../src/platform/files.ts";
import type { RingName } from "../../src/shm/ring-set.ts";
import { ConnectionResponse, QbMessage, ResponseHeader, RingHeader } from "../../src/wire/qb.ts";
import { newSpan } from "../../src/wire/struct.ts";
import { uniqueName } from "../support/service.ts";
import { native } from "../support/native.ts";
import { startService } from "../support/service.ts";
import { ringDirectories } from "../support/shm.ts";
import { FakeServer, type Fault } from "./fake-server.ts";

const OPTIONS = { maxMessageBytes: 12_328, timeoutMs: 150 };

interface Bad {
  readonly name: string;
  readonly fault: Fault;
  readonly kind: QbFailureKind;
  readonly says: RegExp;
}

function truncated(file: string, size: number): NonNullable<Fault["files"]> {
  return (rings) => {
    const [ring = "", part = ""] = file.split("-");
    const fd = openFile(`${rings.prefix(ring as RingName)}-${part}`);
    ftruncateSync(fd, size);
    closeDescriptor(fd);
  };
}

function shortAnswer(size: number): Uint8Array {
  const span = newSpan(ConnectionResponse.size);
  ConnectionResponse.write.id(span, QbMessage.AUTHENTICATE);
  ConnectionResponse.write.size(span, ConnectionResponse.size);
  return span.bytes.subarray(0, size);
}

const AT_CONNECT: readonly Bad[] = [
  { name: "never answers", fault: { silent: true }, kind: "timeout", says: /gave no answer/ },
  {
    name: "answers a part and stops",
    fault: { rawAnswer: shortAnswer(100) },
    kind: "timeout",
    says: /sent 100 of 12328 bytes/,
  },
  { name: "hangs up", fault: { hangUp: true }, kind: "disconnected", says: /without an answer/ },
  {
    name: "answers garbage",
    fault: { rawAnswer: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") },
    kind: "garbage",
    says: /has id \d+, not -1/,
  },
  {
    name: "answers the wrong size",
    fault: { answer: (span) => ConnectionResponse.write.size(span, 99) },
    kind: "garbage",
    says: /claims 99 bytes/,
  },
  {
    name: "wants sockets instead of shared memory",
    fault: { answer: (span) => ConnectionResponse.write.connectionType(span, 0) },
    kind: "garbage",
    says: /transport 0/,
  },
  {
    name: "wants huge messages",
    fault: { answer: (span) => ConnectionResponse.write.maxMessageBytes(span, 0xffffffff) },
    kind: "garbage",
    says: /messages of 4294967295/,
  },
  {
    name: "refuses with an errno",
    fault: { answer: (span) => ConnectionResponse.write.error(span, Errno.EMFILE) },
    kind: "refused",
    says: /refused/,
  },
  {
    name: "refuses as the C pmxcfs does",
    fault: { answer: (span) => ConnectionResponse.write.error(span, 1) },
    kind: "refused",
    says: /answered \+1/,
  },
  {
    name: "names files outside /dev/shm",
    fault: { answer: (span) => ConnectionResponse.write.event(span, "/etc/qb-event-x") },
    kind: "files",
    says: /not in one directory/,
  },
  {
    name: "names files through ..",
    fault: { answer: (span) => ConnectionResponse.write.event(span, "/dev/shm/../qb-event-x") },
    kind: "files",
    says: /not in one directory/,
  },
  {
    name: "names files that are not there",
    fault: { answer: (span) => renameAll(span) },
    kind: "files",
    says: /cannot open/,
  },
  {
    name: "cuts a header file",
    fault: { files: truncated("response-header", 4096) },
    kind: "files",
    says: /header of 4096 bytes/,
  },
  {
    name: "cuts a data file",
    fault: { files: truncated("event-data", 4096) },
    kind: "files",
    says: /4096 bytes of data/,
  },
  {
    name: "lies about the ring's size",
    fault: {
      files: ({ set }) => {
        const { words, headerWord } = set.rings.request;
        words[headerWord + (RingHeader.wordCount >> 2)] = 0x3fffffff;
      },
    },
    kind: "files",
    says: /a ring of \d+ bytes/,
  },
];

function renameAll(span: ReturnType<typeof newSpan>): void {
  const { write } = ConnectionResponse;
  write.request(span, "/dev/shm/qb-none/qb-request-x");
  write.response(span, "/dev/shm/qb-none/qb-response-x");
  write.event(span, "/dev/shm/qb-none/qb-event-x");
}

describe("at connect", () => {
  test("a name on which no process listens is absent", async () => {
    const failure = await QbClient.connect(uniqueName("absent"), OPTIONS);
    if (!(failure instanceof QbFailure)) throw new Error("connected");
    expect([failure.kind, failure.errno]).toEqual(["absent", Errno.ECONNREFUSED]);
    expect(String(failure)).toContain("no process listens on @absent");
  });

  test("an invalid service name is refused", async () => {
    for (const name of ["", "x".repeat(108)]) {
      const failure = await QbClient.connect(name, OPTIONS);
      expect(failure instanceof QbFailure && failure.errno).toBe(Errno.ENAMETOOLONG);
    }
  });

  test("a refusal of a real libqb server is reported with its errno", async () => {
    await using service = await startService((name) => [
      native("qb-echo-server"),
      name,
      "--refuse",
      "13",
    ]);
    const failure = await QbClient.connect(service.name, { ...OPTIONS, timeoutMs: 5000 });
    if (!(failure instanceof QbFailure)) throw new Error("connected");
    expect([failure.kind, failure.errno]).toEqual(["refused", Errno.EACCES]);
  });

  for (const { name, fault, kind, says } of AT_CONNECT) {
    test(name, async () => {
      using server = new FakeServer(uniqueName("bad"), fault);
      const failure = await QbClient.connect(server.name, OPTIONS);
      if (!(failure instanceof QbFailure)) throw new Error("connected");
      expect([failure.kind, failure.message]).toEqual([kind, expect.stringMatching(says)]);
    });
  }
});

const WRONG_ID = "answers another request's id";

const AT_CALL: readonly Bad[] = [
  { name: "never answers", fault: { instead: () => {} }, kind: "timeout", says: /request 3/ },
  {
    name: "hangs up instead of answering",
    fault: { instead: (connection) => connection.hangUp() },
    kind: "disconnected",
    says: /closed/,
  },
  {
    name: WRONG_ID,
    fault: { response: (span) => ResponseHeader.write.id(span, 4) },
    kind: "garbage",
    says: /request 3 was answered as 4/,
  },
  {
    name: "claims more bytes than it wrote",
    fault: { response: (span) => ResponseHeader.write.size(span, 5000) },
    kind: "garbage",
    says: /claims to have 5000/,
  },
  {
    name: "claims fewer bytes than a header",
    fault: { response: (span) => ResponseHeader.write.size(span, 0) },
    kind: "garbage",
    says: /claims to have 0/,
  },
  {
    name: "writes less than a header",
    fault: { instead: (connection) => connection.write(Buffer.alloc(8)) },
    kind: "garbage",
    says: /broken chunk/,
  },
  {
    name: "posts the semaphore without a message",
    fault: {
      instead: ({ rings }) => {
        const { words, headerWord } = rings.set.rings.response;
        Atomics.add(words, headerWord + (RingHeader.semaphore >> 2), 1);
      },
    },
    kind: "garbage",
    says: /broken chunk/,
  },
  {
    name: "truncates the response files under us",
    fault: {
      instead: ({ rings }) => {
        truncated("response-header", 0)(rings);
        truncated("response-data", 0)(rings);
      },
    },
    kind: "vanished",
    says: /truncated/,
  },
];

describe("at a call", () => {
  for (const blocking of [false, true]) {
    for (const { name, fault, kind, says } of AT_CALL) {
      // Only sendRecv knows the id it waits for; its blocking form stops this process's server.
      if (blocking && name === WRONG_ID) continue;
      test(`${name}${blocking ? " (blocking)" : ""}`, async () => {
        using server = new FakeServer(uniqueName("bad"), fault);
        using client = await QbClient.connect(server.name, OPTIONS).then((connected) => {
          if (connected instanceof QbFailure) throw new Error(String(connected));
          return connected;
        });
        const failure = await (blocking ? pumped(client) : client.sendRecv(3, Buffer.from("x")));
        if (!(failure instanceof QbFailure)) throw new Error("answered");
        expect([failure.kind, failure.message]).toEqual([kind, expect.stringMatching(says)]);
        if (kind !== "timeout") expect(client.connected).toBe(false);
      });
    }
  }
});

/** A blocking call stops this event loop and so the server: it is made in short slices. */
async function pumped(client: QbClient): Promise<QbFailure | object> {
  const failure = client.send(3, Buffer.from("x"));
  if (failure !== undefined) return failure;
  for (let slice = 0; ; slice++) {
    await Bun.sleep(1);
    const response = client.receiveBlocking({ timeoutMs: 2 });
    const pending = response instanceof QbFailure && response.kind === "timeout";
    if (pending && slice > 20) return new QbFailure("timeout", response.errno, "request 3");
    if (!pending) return response;
  }
}

test("nothing is left in /dev/shm", () => {
  expect(ringDirectories(process.pid)).toEqual([]);
});
