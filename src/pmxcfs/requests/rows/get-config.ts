/** GET_CONFIG: the bytes of one file of the tree. C: server.c, memdb_read. */
import { Errno } from "../../../base/errno.ts";
import { spanOf } from "../../../wire/struct.ts";
import { tail, textAt } from "../../../wire/text.ts";
import { pathIsPrivate } from "../../state/private-path.ts";
import { bytesAnswer } from "../answer.ts";
import { badText, shownText, terminated } from "../encoding.ts";
import { redactFile } from "../redaction.ts";
import { defineRequest } from "../request.ts";

export const getConfig = defineRequest({
  id: 6,
  name: "GET_CONFIG",
  summary: "Print a file below /etc/pve, byte by byte",
  example: ["storage.cfg", "the storages"],
  access: "read",
  minBytes: 1,
  maxBytes: Infinity,
  tail: "path",
  checks: [
    "no body: EINVAL",
    "the last byte is taken as NUL",
    "private path and read-only caller: EPERM, before existence",
    "not a regular file: ENOENT",
  ],
  result: "the file's bytes",
  parameters: {
    path: {
      kind: "path",
      description: "Path of the file below /etc/pve",
      positional: true,
      required: true,
    },
  },
  encode: ({ path }: { readonly path: string }) => badText("the path", path) ?? terminated(path),
  describe: (span) => ({ path: shownText(textAt(span, 0)) }),
  answer: bytesAnswer,
  errors: {
    [Errno.ENOENT]: "no such file below /etc/pve (or it is a directory)",
    [Errno.EPERM]: "the path is private, and this caller may only read",
  },
  redact: { reply: (body, reply) => redactFile(tail(spanOf(body), 0), reply) },
  probe: { arguments: { path: "storage.cfg" }, reply: "any", mayFail: [Errno.ENOENT] },
  run({ memdb }, body, caller) {
    const path = tail(body, 0);
    if (caller.permissions === "read-only" && pathIsPrivate(path)) return Errno.EPERM;
    return memdb.read(path) ?? Errno.ENOENT;
  },
});
