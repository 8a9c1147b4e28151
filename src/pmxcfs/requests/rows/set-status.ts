/** SET_STATUS: sets a status key of this node, its address, or an RRD value. C: cfs_status_set. */
import { Errno } from "../../../base/errno.ts";
import { char, newSpan, prefix } from "../../../wire/struct.ts";
import { rest } from "../../../wire/text.ts";
import { doneAnswer } from "../answer.ts";
import { badText, EMPTY, NAME_BYTES, NAME_FIELD_BYTES, shownText, wireText } from "../encoding.ts";
import { REDACTED } from "../redaction.ts";
import { defineRequest } from "../request.ts";

const layout = prefix({ name: char(NAME_FIELD_BYTES) });

export const setStatus = defineRequest({
  id: 4,
  name: "SET_STATUS",
  summary: "Set or remove a key of this node's status",
  example: ["my-key --file value.json", "the file's bytes"],
  access: "write",
  isBesideTree: true,
  minBytes: layout.size,
  maxBytes: Infinity,
  layout,
  tail: "value",
  checks: [
    "read-only caller: EPERM",
    "size < 272: EINVAL",
    "value > 32768 bytes (a final NUL counts): EFBIG",
    "`nodeip` of 0 or > 255 bytes, `rrd/KEY` of 0 or > 4095, or without a final NUL: ENOMEM",
    "more than 4096 keys: ENOSPC",
  ],
  result: "empty; without a value the key is removed",
  parameters: {
    key: { kind: "text", description: "Status key", positional: true, required: true },
    value: { kind: "value", description: "Value of the key" },
  },
  encode({ key, value }: { readonly key: string; readonly value?: Uint8Array | undefined }) {
    const bad = badText("the key", key, NAME_BYTES);
    if (bad !== undefined) return bad;
    const span = newSpan(layout.size);
    layout.write.name(span, wireText(key));
    return value === undefined ? span.bytes : Buffer.concat([span.bytes, value]);
  },
  describe: (span, bodyBytes) => ({
    name: shownText(layout.read.name(span)),
    value_bytes: bodyBytes - layout.size,
  }),
  answer: doneAnswer,
  errors: {
    [Errno.EFBIG]: "a status value has at most 32 KiB",
    [Errno.ENOMEM]: "nodeip and rrd/ values must end in a NUL (--nul)",
  },
  redact: {
    body(body) {
      if (body.byteLength <= layout.size) return body;
      return Buffer.concat([body.subarray(0, layout.size), Buffer.from(`${REDACTED}\0`)]);
    },
  },
  run({ replicator }, body) {
    const outcome = replicator.setStatus(layout.read.name(body), rest(body, layout.size));
    return outcome === 0 ? EMPTY : outcome;
  },
});
