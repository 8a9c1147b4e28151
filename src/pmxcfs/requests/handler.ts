/**
 * The handler for the transport: the access rule, and the checks that precede every request, in the
 * order of server.c. Allocates nothing.
 */
import { Errno } from "../../base/errno.ts";
import type { Caller, Handler } from "../../ipc/handler.ts";
import type { Span } from "../../wire/struct.ts";
import type { Access } from "./access.ts";
import type { CfsReply, Services } from "./request.ts";
import { requestOf } from "./table.ts";

/**
 * Answers one request. `body` follows the 16-byte header and is read only during the call, or until
 * the work of an `Accepted` reply is done. The reply's bytes belong to the services, which never
 * change them.
 */
export function dispatch(services: Services, caller: Caller, id: number, body: Span): CfsReply {
  const request = requestOf(id);
  if (request === undefined) return Errno.ECHRNG;
  if (request.access === "write" && caller.permissions === "read-only") return Errno.EPERM;
  if (body.size < request.minBytes || body.size > request.maxBytes) return Errno.EINVAL;
  return request.run(services, body, caller);
}

/**
 * The errno for a request whose header claims a size below 16 or above the message's. `body` is as
 * in Request (ipc/handler.ts): empty if the size is below 16. Without `services` (in a proxy) the
 * guest of a request is not looked up.
 */
export function malformed(caller: Caller, id: number, body: Span, services?: Services): Errno {
  const request = requestOf(id);
  if (request === undefined) return Errno.ECHRNG;
  if (request.access === "write" && caller.permissions === "read-only") return Errno.EPERM;
  if (body.size > 0 || services === undefined) return Errno.EINVAL;
  return request.malformed?.(services, body) ?? Errno.EINVAL;
}

/**
 * A client that sends requests back to back may be answered from a store whose last check for
 * changes is this old: a check is a system call and costs several times as much as the answer. With
 * the time that the check and the answer take, every change is seen after 1 ms.
 */
export const STORE_AGE_NS = 900_000;

/**
 * Calls `refresh` before a request that has to do with the tree, so that its answer includes
 * changes by other programs. It is skipped if the request is back to back (Request.backToBackNs)
 * and the last check is younger than STORE_AGE_NS. So every answer includes changes older than
 * 1 ms, and a client that replaces a file sees that in its next answer, because that takes longer;
 * a write to an open file may be faster. `isStrict`: never skipped.
 */
export function cfsHandler(
  services: Services,
  access: Access,
  refresh: () => void,
  isStrict = false,
): Handler {
  let lookedNs = 0;
  return {
    repliesAreConstant: true,
    authenticate: (peer) => access.authenticate(peer),
    refusal: (peer, command) => access.refusal(peer, command),
    handle({ id, span, caller, backToBackNs }) {
      const isOld = isStrict || backToBackNs === 0 || backToBackNs - lookedNs > STORE_AGE_NS;
      if (isOld && requestOf(id)?.isBesideTree !== true) {
        lookedNs = backToBackNs === 0 ? Bun.nanoseconds() : backToBackNs;
        refresh();
      }
      return dispatch(services, caller, id, span);
    },
    malformed: ({ id, caller, span }) => malformed(caller, id, span, services),
  };
}
