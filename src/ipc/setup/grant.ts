/** What an accepted peer is granted: the owner of its rings, and its permissions. */
import type { Credentials } from "../../platform/socket.ts";
import type { Errno } from "../../base/errno.ts";
import type { Permissions } from "../handler.ts";

export interface Grant {
  /** The user and group that the files of its rings are given to. */
  readonly owner: Credentials;
  readonly permissions: Permissions;
}

/** The ids of a peer. */
export interface PeerIds {
  /** The real ones of the sender of the set-up request. */
  readonly peer: Credentials;
  /** The effective ones at connect(2). */
  readonly connectIds: Credentials;
}

/**
 * A client is judged by its real ids, but opens its rings with its effective ones; the directory's
 * group is the effective gid. If the uids differ, the files belong to the effective uid, and every
 * process of that uid can open them: so the connection gets no more permissions than that uid has
 * itself. If that uid is refused, the files belong to the real uid, as with libqb, and the client
 * cannot open them. `permissions`: those of the real ids; `judge`: the handler's verdict on others.
 */
export function grantOf(
  { peer, connectIds }: PeerIds,
  permissions: Permissions,
  judge: (ids: Credentials) => Permissions | Errno,
): Grant {
  const ofReal = { pid: peer.pid, uid: peer.uid, gid: connectIds.gid };
  if (peer.uid === connectIds.uid) return { owner: ofReal, permissions };
  const ofOwner = judge(connectIds);
  if (typeof ofOwner === "number") return { owner: ofReal, permissions };
  const owner = { pid: peer.pid, uid: connectIds.uid, gid: connectIds.gid };
  return { owner, permissions: ofOwner === "read-only" ? "read-only" : permissions };
}
