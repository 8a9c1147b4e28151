/**
 * What every request passes before its operation sees it, in the order in which server.c checks.
 * Nothing is allocated here, and nothing by operations whose answers are kept as bytes.
 */
import { Errno } from "../../base/errno.ts";
import type { Span } from "../../wire/struct.ts";
import type { Caller, Reply, Services } from "./operation.ts";
import { operationOf } from "./operations/index.ts";

/**
 * Answers one request. `body` is what follows the 16-byte header; it is read during the call
 * only. The reply's bytes belong to the backend and stay as they are.
 */
export function dispatch(services: Services, caller: Caller, id: number, body: Span): Reply {
  const operation = operationOf(id);
  if (operation === undefined) return Errno.ECHRNG;
  if (operation.access === "write" && caller.permissions === "read-only") return Errno.EPERM;
  if (body.size < operation.minBytes || body.size > operation.maxBytes) return Errno.EINVAL;
  return operation.run(services, body, caller);
}

/**
 * The errno of a request whose header claims less than a header or more than the message. `body`
 * is what Request (ipc/handler.ts) says: empty when the header claims too little. Without
 * `services` (a proxy has none) the guest of a request is not looked up.
 */
export function malformed(caller: Caller, id: number, body: Span, services?: Services): Errno {
  const operation = operationOf(id);
  if (operation === undefined) return Errno.ECHRNG;
  if (operation.access === "write" && caller.permissions === "read-only") return Errno.EPERM;
  if (body.size > 0 || services === undefined) return Errno.EINVAL;
  return operation.malformed?.(services, body) ?? Errno.EINVAL;
}
