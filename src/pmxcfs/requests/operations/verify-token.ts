/** VERIFY_TOKEN: is this line in priv/token.cfg? Read-only callers may ask. C: server.c. */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc } from "../layouts.ts";
import { DONE, type Operation } from "../operation.ts";

const NEWLINE = 0x0a;

export const verifyToken: Operation = {
  id: CfsIpc.VERIFY_TOKEN,
  name: "VERIFY_TOKEN",
  access: "read",
  minBytes: 2,
  maxBytes: Infinity,
  run({ tokens }, body) {
    const last = body.at + body.size - 1;
    const token = body.bytes.subarray(body.at, last);
    if (token.includes(NEWLINE) || body.bytes[last] !== 0 || token.includes(0)) {
      return Errno.EINVAL;
    }
    return tokens.has(token.toString("latin1")) ? DONE : Errno.ENOENT;
  },
};
