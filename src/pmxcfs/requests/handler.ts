/**
 * The twelve requests as the transport wants them: who gets in, what is answered. The shapes are
 * the transport's without importing it (DESIGN.md 3: cfs knows no ipc).
 */
import type { Errno } from "../../base/errno.ts";
import type { Span } from "../../wire/struct.ts";
import type { Access } from "./access.ts";
import { dispatch, malformed } from "./dispatch.ts";
import type { Caller, Credentials, Permissions, Reply, Services } from "./operation.ts";

/** What of a request is looked at here. */
interface Asked {
  readonly id: number;
  readonly span: Span;
  readonly caller: Caller;
}

export interface CfsHandler {
  authenticate(peer: Credentials): Permissions | Errno;
  refusal(peer: Credentials, command: string): string;
  handle(request: Asked): Reply;
  malformed(request: Asked): Errno;
}

/** `refresh` is called before each request: changes by other programs are in its answer. */
export function cfsHandler(services: Services, access: Access, refresh: () => void): CfsHandler {
  return {
    authenticate: (peer) => access.authenticate(peer),
    refusal: (peer, command) => access.refusal(peer, command),
    handle({ id, span, caller }) {
      refresh();
      return dispatch(services, caller, id, span);
    },
    malformed: ({ id, caller, span }) => malformed(caller, id, span, services),
  };
}
