/** GET_STATUS: one status key of one node. C: cfs_create_status_msg. */
import { Errno } from "../../../base/errno.ts";
import { char, newSpan, struct } from "../../../wire/struct.ts";
import { bytesAnswer } from "../answer.ts";
import { badText, NAME_BYTES, NAME_FIELD_BYTES, shownText, wireText } from "../encoding.ts";
import { redactStatus } from "../redaction.ts";
import { defineRequest } from "../request.ts";

const layout = struct({ name: char(NAME_FIELD_BYTES), nodeName: char(NAME_FIELD_BYTES) });
const { name, nodeName } = layout.read;

export const getStatus = defineRequest({
  id: 5,
  name: "GET_STATUS",
  summary: "Print a node's value of a status key, byte by byte",
  example: ["tasklist --node pve2", "another node's tasks"],
  access: "read",
  isBesideTree: true,
  minBytes: layout.size,
  // Bytes after the two names are ignored, as in C.
  maxBytes: Infinity,
  layout,
  checks: ["size < 528: EINVAL (more is ignored)", "unknown key or node: ENOENT"],
  result: "the bytes as set; an empty node means the one that answers",
  parameters: {
    key: { kind: "text", description: "Status key", positional: true, required: true },
    node: { kind: "text", description: "Name of the node", defaultText: "the one that answers" },
  },
  encode({ key, node = "" }: { readonly key: string; readonly node?: string | undefined }) {
    const bad = badText("the key", key, NAME_BYTES) ?? badText("the node's name", node, NAME_BYTES);
    if (bad !== undefined) return bad;
    const span = newSpan(layout.size);
    layout.write.name(span, wireText(key));
    layout.write.nodeName(span, wireText(node));
    return span.bytes;
  },
  describe: (span) => ({ name: shownText(name(span)), node: shownText(nodeName(span)) }),
  answer: bytesAnswer,
  errors: { [Errno.ENOENT]: "no such key, or no such node" },
  redact: { reply: (_, reply) => redactStatus(reply) },
  probe: { arguments: { key: "tasklist" }, reply: "any", mayFail: [Errno.ENOENT] },
  run: ({ status }, body) => status.get(nodeName(body), name(body)) ?? Errno.ENOENT,
});
