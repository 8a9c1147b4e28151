/**
 * A libqb echo server: the shortest complete use of the library, and the target of benchmarks and
 * robustness tests. A reply's body is its request's body.
 */
import { Errno } from "../base/errno.ts";
import type { Handler, Permissions, Reply, Request } from "../ipc/handler.ts";

/** Accepts root and the server's own uid, or anybody. */
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
