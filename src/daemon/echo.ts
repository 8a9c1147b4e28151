/**
 * A libqb echo server: a reply's body is its request's body. The shortest complete use of src/ipc,
 * and the server that benchmarks and robustness tests run against.
 */
import { Errno } from "../base/errno.ts";
import type { Handler, Permissions, Reply, Request } from "../ipc/handler.ts";

/** Accepts root and the server's own uid, or every uid. */
export function echoHandler(acceptAny: boolean): Handler {
  const ownUid = process.getuid?.() ?? 0;
  return {
    authenticate({ uid }): Permissions | Errno {
      return acceptAny || uid === 0 || uid === ownUid ? "read-write" : Errno.EPERM;
    },
    handle({ span }: Request): Reply {
      return span.bytes.subarray(span.at, span.at + span.size);
    },
  };
}
