/** LOG_CLUSTER_MSG: an entry for the cluster log, with the caller's pid. C: cfs_cluster_log. */
import { Errno } from "../../../base/errno.ts";
import { newSpan, prefix, spanOf, u8 } from "../../../wire/struct.ts";
import { decoded, textAt, untilNul } from "../../../wire/text.ts";
import { doneAnswer } from "../answer.ts";
import { badNumber, badText, shownText, terminated } from "../encoding.ts";
import { REDACTED } from "../redaction.ts";
import { defineRequest } from "../request.ts";

/** Followed by ident, tag and message, each with a NUL, which the lengths count. */
const layout = prefix({ priority: u8, identBytes: u8, tagBytes: u8 });
const { priority, identBytes, tagBytes } = layout.read;

/** Most bytes of ident and of tag: the length field is one byte and counts the NUL. */
const FIELD_BYTES = 254;

/** An entry for the cluster log, as a caller gives it. */
export interface LogEntry {
  /** syslog's, 0 to 7; default: 6 (info). The server drops entries above 7. */
  readonly priority?: number | undefined;
  /** `root@pam`. */
  readonly user: string;
  /** The program: `pvedaemon`. */
  readonly tag: string;
  readonly message: string;
}

function encode({ priority: level = 6, user, tag, message }: LogEntry) {
  const bad =
    badText("the user", user, FIELD_BYTES) ??
    badText("the tag", tag, FIELD_BYTES) ??
    badText("the message", message) ??
    badNumber("the priority", level, 255);
  if (bad !== undefined) return bad;
  const span = newSpan(layout.size);
  const [ident, program] = [terminated(user), terminated(tag)];
  layout.write.priority(span, level);
  layout.write.identBytes(span, ident.byteLength);
  layout.write.tagBytes(span, program.byteLength);
  return Buffer.concat([span.bytes, ident, program, terminated(message)]);
}

export const logClusterMsg = defineRequest({
  id: 7,
  name: "LOG_CLUSTER_MSG",
  summary: "Write an entry into the cluster log",
  example: ["--tag backup 'all done'", "an entry"],
  access: "write",
  isBesideTree: true,
  minBytes: layout.size,
  maxBytes: Infinity,
  layout,
  tail: "ident, tag, message",
  checks: [
    "read-only caller: EPERM",
    "size - 19 - identBytes - tagBytes < 1: EINVAL",
    "the byte before the tag, before the message, or after the message is not NUL: EINVAL",
  ],
  result: "empty; priority 8 and above stores nothing",
  parameters: {
    message: { kind: "text", description: "Text of the entry", positional: true, required: true },
    priority: { kind: "number", description: "Syslog priority, 0 to 7", default: 6, max: 255 },
    user: { kind: "text", description: "User name", default: "root@pam" },
    tag: { kind: "text", description: "Program name", default: "pmxcfs-ipc" },
  },
  encode,
  describe(span, bodyBytes) {
    const tagAt = layout.size + identBytes(span);
    const messageAt = tagAt + tagBytes(span);
    return {
      priority: priority(span),
      user: shownText(textAt(span, layout.size)),
      tag: shownText(textAt(span, tagAt)),
      message_bytes: Math.max(0, bodyBytes - messageAt),
    };
  },
  answer: doneAnswer,
  errors: {},
  redact: {
    body(body) {
      if (body.byteLength < layout.size) return body;
      const span = spanOf(body);
      const messageAt = layout.size + identBytes(span) + tagBytes(span);
      if (messageAt >= body.byteLength) return body;
      return Buffer.concat([body.subarray(0, messageAt), Buffer.from(`${REDACTED}\0`)]);
    },
  },
  /**
   * As in C, each string is read from the position that the lengths give, up to the next NUL. Only
   * three bytes are checked: those before the tag and before the message (with an empty ident, the
   * first of them is the tag's length field), and the one after the body, which is 0 unless the
   * header claims less than was sent. A message needs no NUL of its own.
   *
   * The entry is made after the reply: making it takes as long as the client's send of the notify
   * byte, and a client that finds no reply after that sleeps, which costs several times as much.
   */
  run({ replicator }, body, caller) {
    const tagAt = layout.size + identBytes(body);
    const messageAt = tagAt + tagBytes(body);
    if (body.size - messageAt < 1) return Errno.EINVAL;
    if (byteAt(tagAt - 1) !== 0 || byteAt(messageAt - 1) !== 0) return Errno.EINVAL;
    if (byteAt(body.size) !== 0) return Errno.EINVAL;
    return {
      afterReply() {
        const text = decoded(body);
        replicator.log({
          priority: priority(body),
          user: untilNul(text, layout.size),
          tag: untilNul(text, tagAt),
          message: untilNul(text, messageAt),
          pid: caller.pid,
        });
      },
    };

    function byteAt(offset: number): number {
      return body.bytes[body.at + offset] ?? 0;
    }
  },
});
