/**
 * The twelve requests as the transport's handler: who may connect, and the checks of every request
 * before its row runs, in the order of server.c. Nothing is allocated here.
 */
import { Errno } from "../../base/errno.ts";
import type { Caller, Handler } from "../../ipc/handler.ts";
import type { Span } from "../../wire/struct.ts";
import type { Access } from "./access.ts";
import type { CfsReply, Services } from "./request.ts";
import { requestOf } from "./table.ts";

/**
 * Answers one request. `body` is what follows the 16-byte header; it is read during the call only.
 * The reply's bytes belong to the services, which do not change them.
 */
export function dispatch(services: Services, caller: Caller, id: number, body: Span): CfsReply {
  const request = requestOf(id);
  if (request === undefined) return Errno.ECHRNG;
  if (request.access === "write" && caller.permissions === "read-only") return Errno.EPERM;
  if (body.size < request.minBytes || body.size > request.maxBytes) return Errno.EINVAL;
  return request.run(services, body, caller);
}

/**
 * The errno of a request whose header claims less than a header or more than the message. `body`
 * is what Request (ipc/handler.ts) says: empty when the header claims too little. Without
 * `services` (a proxy has none) the guest of a request is not looked up.
 */
export function malformed(caller: Caller, id: number, body: Span, services?: Services): Errno {
  const request = requestOf(id);
  if (request === undefined) return Errno.ECHRNG;
  if (request.access === "write" && caller.permissions === "read-only") return Errno.EPERM;
  if (body.size > 0 || services === undefined) return Errno.EINVAL;
  return request.malformed?.(services, body) ?? Errno.EINVAL;
}

/**
 * A client that asks without pause is answered from a store that was checked for changes within
 * this time: a check is a system call, several times the cost of the answer.
 */
export const STORE_AGE_NS = 100_000;

/**
 * Calls `refresh` before a request, so that its answer includes changes by other programs. The call
 * is skipped for a request that follows its client's last reply within 4 us, while the last check
 * is younger than 100 us. So a change is in every answer 100 us later, and at once in those to a
 * client that itself took the time to make it. `isStrict`: never skipped.
 */
export function cfsHandler(
  services: Services,
  access: Access,
  refresh: () => void,
  isStrict = false,
): Handler {
  let lookedNs = 0;
  return {
    authenticate: (peer) => access.authenticate(peer),
    refusal: (peer, command) => access.refusal(peer, command),
    handle({ id, span, caller, backToBackNs }) {
      if (isStrict || backToBackNs === 0 || backToBackNs - lookedNs > STORE_AGE_NS) {
        lookedNs = backToBackNs === 0 ? Bun.nanoseconds() : backToBackNs;
        refresh();
      }
      return dispatch(services, caller, id, span);
    },
    malformed: ({ id, caller, span }) => malformed(caller, id, span, services),
  };
}
