/**
 * Compares dispatch with every recorded answer of the C server, in this process, in their order, on
 * one set of services. The transport (sizes of headers and rings, the disconnect message) is
 * simulated here; other tests send the same vectors through a real client.
 */
import { describe, expect, test } from "bun:test";
import { Access } from "../../src/pmxcfs/requests/access.ts";
import { dispatch, malformed } from "../../src/pmxcfs/requests/handler.ts";
import type { Caller } from "../../src/ipc/handler.ts";
import type { Services } from "../../src/pmxcfs/requests/request.ts";
import { Errno } from "../../src/base/errno.ts";
import { spanOf } from "../../src/wire/struct.ts";
import { completed, memdbOf, servicesOf } from "../support/cfs-services.ts";
import {
  compare,
  groupByCheck,
  loadTree,
  loadVectors,
  type Answer,
  type Vector,
} from "../support/vectors.ts";

const REQUEST_HEADER_BYTES = 16;
const RESPONSE_HEADER_BYTES = 24;
const DISCONNECT = -3;

const access = new Access({ group: { name: "www-data", gid: 33 }, ownUid: 0 });

function answerOf(services: Services, vector: Vector): Answer {
  const credentials = { pid: 4711, uid: vector.uid, gid: vector.gid };
  const permissions = access.authenticate(credentials);
  if (typeof permissions === "number") return { kind: "refused", errno: permissions };
  if (vector.id === DISCONNECT) return { kind: "recv", errno: Errno.ENOTCONN };

  const reply = replyOf(services, vector, { ...credentials, permissions });
  if (typeof reply === "number") return { kind: "reply", error: reply, body: new Uint8Array(0) };
  const size = RESPONSE_HEADER_BYTES + reply.length;
  if (size > (vector.maxMessageBytes ?? Infinity)) {
    return { kind: "reply", error: Errno.EMSGSIZE, body: new Uint8Array(0) };
  }
  if (size > (vector.receiveBytes ?? Infinity)) return { kind: "recv", errno: Errno.ENOBUFS };
  return { kind: "reply", error: 0, body: reply };
}

/** A request in the form of the transport (ipc/handler.ts, Request). */
function replyOf(services: Services, vector: Vector, caller: Caller) {
  const sent = vector.body.length;
  const claimed = (vector.headerSize ?? REQUEST_HEADER_BYTES + sent) - REQUEST_HEADER_BYTES;
  const size = Math.max(0, Math.min(claimed, sent));
  // A separate buffer with other bytes around: nothing beyond the message may be read.
  const scratch = Buffer.alloc(sent + 64, 0x21);
  vector.body.copy(scratch, 32);
  scratch.fill(0, 32 + sent, 36 + sent);
  const span = { ...spanOf(scratch), at: 32, size };
  const reply =
    size === claimed
      ? completed(dispatch(services, caller, vector.id, span))
      : malformed(caller, vector.id, span, services);
  scratch.fill(0x3f);
  return reply;
}

const vectors = loadVectors();
const services = servicesOf(memdbOf(loadTree()));
const answers = new Map(vectors.map((vector) => [vector, answerOf(services, vector)]));

describe("answers of the C server", () => {
  for (const [check, group] of groupByCheck(vectors)) {
    test(`${group.length} compared as ${check}`, () => {
      const wrong = group.flatMap((vector) => {
        const answer = answers.get(vector);
        return answer === undefined ? [vector.name] : (compare(vector, answer) ?? []);
      });
      expect(wrong.join("\n")).toBe("");
    });
  }

  test("the comparison detects any other answer", () => {
    const missed = vectors.filter((vector) => {
      const answer = answers.get(vector);
      if (answer === undefined || vector.expect.check === "skip") return false;
      return others(answer).some((other) => compare(vector, other) === undefined);
    });
    expect(missed.map((vector) => vector.name)).toEqual([]);
  });
});

/** Answers that differ from `answer`. */
function others(answer: Answer): Answer[] {
  if (answer.kind !== "reply") return [{ kind: answer.kind, errno: Errno.EBADMSG }];
  if (answer.error !== 0) {
    return [
      { ...answer, error: 0 },
      { ...answer, error: Errno.EBADMSG },
    ];
  }
  const longer = Buffer.concat([answer.body, Buffer.from("}")]);
  return [
    { ...answer, body: longer },
    { ...answer, error: Errno.EIO },
  ];
}
