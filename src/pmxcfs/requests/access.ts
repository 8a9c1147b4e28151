/**
 * The access rule: which peers may connect, and whether they may write. C counterpart: server.c,
 * s1_connection_accept_fn; docs/operations.md lists the differences.
 */
import { Errno } from "../../base/errno.ts";
import type { Credentials, Permissions } from "../../ipc/handler.ts";

export interface AccessOptions {
  /** The group whose members may read (www-data); undefined when this host has no such group. */
  readonly group: { readonly name: string; readonly gid: number } | undefined;
  /** The server's own uid, which has full access, as root always has. */
  readonly ownUid: number;
  /** Further uids with full access. */
  readonly allowUids?: readonly number[];
  /** Further gids that may read. */
  readonly allowGids?: readonly number[];
  /** All callers are read-only. */
  readonly readOnly?: boolean;
}

/** Decides whether a connection is accepted and with which permissions. */
export class Access {
  readonly #group: AccessOptions["group"];
  readonly #writers: ReadonlySet<number>;
  readonly #readers: ReadonlySet<number>;
  readonly #readOnly: boolean;

  constructor(options: AccessOptions) {
    const { group, ownUid, allowUids = [], allowGids = [] } = options;
    this.#group = group;
    this.#writers = new Set([0, ownUid, ...allowUids]);
    this.#readers = new Set(group === undefined ? allowGids : [group.gid, ...allowGids]);
    this.#readOnly = options.readOnly ?? false;
  }

  /**
   * A peer whose gid may read is read-only whatever its uid, even root, as in C. Otherwise a uid
   * with full access may write. Any other peer is refused with EPERM.
   */
  authenticate(peer: Credentials): Permissions | Errno {
    if (this.#readers.has(peer.gid)) return "read-only";
    if (!this.#writers.has(peer.uid)) return Errno.EPERM;
    return this.#readOnly ? "read-only" : "read-write";
  }

  /** Why a peer was refused, for the log; `command` is its name from /proc/PID/comm. */
  refusal(peer: Credentials, command: string): string {
    const gids = [...this.#readers].map((gid) =>
      gid === this.#group?.gid ? `${gid} (${this.#group.name})` : String(gid),
    );
    const groups = gids.length === 0 ? "" : `, or primary group ${gids.join(" or ")}`;
    return (
      `refused pid ${peer.pid} (${command}), uid ${peer.uid}, gid ${peer.gid}: ` +
      `needs uid ${[...this.#writers].join(" or ")}${groups}`
    );
  }
}
