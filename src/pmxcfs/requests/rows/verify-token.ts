/**
 * VERIFY_TOKEN: whether a line is in priv/token.cfg; allowed for read-only callers. C: server.c.
 */
import { Errno } from "../../../base/errno.ts";
import { CfsLimits } from "../../../base/limits.ts";
import { spanOf } from "../../../wire/struct.ts";
import { textAt } from "../../../wire/text.ts";
import { doneAnswer } from "../answer.ts";
import { badText, EMPTY, shownText, terminated } from "../encoding.ts";
import { REDACTED } from "../redaction.ts";
import { defineRequest } from "../request.ts";

const NEWLINE = 0x0a;

/** A token that does not exist: its answer is ENOENT. */
const NO_TOKEN = "pmxcfs-ipc-check@pve!none 00000000-0000-0000-0000-000000000000";

/**
 * The name in a token's line, such as `root@pam!ci`; undefined for other lines, which may be
 * secret.
 */
function nameOf(text: string): string | undefined {
  return /^([^ =!]+![^ =]+)[ =]/.exec(text)?.[1];
}

export const verifyToken = defineRequest({
  id: 12,
  name: "VERIFY_TOKEN",
  summary: "Check whether priv/token.cfg has a token",
  details: ["Every user of this host can see a token on the command line: use --file."],
  example: ["--file -", "from stdin"],
  access: "read",
  minBytes: 2,
  maxBytes: Infinity,
  tail: "token",
  checks: [
    "size - 17 <= 0: EINVAL",
    "a newline, an inner NUL, or no final NUL: EINVAL",
    "no whole line of `priv/token.cfg` equal to it: ENOENT",
  ],
  result: "empty",
  parameters: {
    token: {
      kind: "secret",
      description: "Token and its secret in one argument: USER@REALM!NAME SECRET",
      positional: true,
    },
  },
  encode: ({ token }: { readonly token: string }) =>
    badText("the token", token) ?? terminated(token),
  describe(span) {
    const name = nameOf(textAt(span, 0));
    return { token: name === undefined ? "..." : `${shownText(name)} ...` };
  },
  answer: doneAnswer,
  errors: { [Errno.ENOENT]: "priv/token.cfg has no such token" },
  redact: {
    body(body) {
      const text = textAt(spanOf(body), 0);
      const name = nameOf(text);
      const kept = name === undefined ? "" : text.slice(0, name.length + 1);
      return Buffer.from(`${kept}${REDACTED}\0`, "latin1");
    },
  },
  probe: {
    arguments: { token: NO_TOKEN },
    reply: "any",
    mayFail: [Errno.ENOENT],
    mustFail: true,
  },
  run({ tokens }, body) {
    const last = body.at + body.size - 1;
    const token = body.bytes.subarray(body.at, last);
    if (token.includes(NEWLINE) || body.bytes[last] !== 0 || token.includes(0)) {
      return Errno.EINVAL;
    }
    // No line of a file is longer. A string of the 16 MiB that a client may send takes 20 ms.
    if (token.length > CfsLimits.fileBytes) return Errno.ENOENT;
    return tokens.has(token.toString("latin1")) ? EMPTY : Errno.ENOENT;
  },
});
