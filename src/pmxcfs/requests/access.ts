/**
 * Who may connect and what they may do. C counterpart: server.c, s1_connection_accept_fn;
 * docs/operations.md lists where we differ.
 */
import { Errno } from "../../base/errno.ts";
import type { Credentials, Permissions } from "../../ipc/handler.ts";

export interface AccessOptions {
  /** The group whose members read (www-data); undefined when this machine has none. */
  readonly group: { readonly name: string; readonly gid: number } | undefined;
  /** The server's own uid, which has full access; root has it anyway. */
  readonly ownUid: number;
  /** Further uids with full access. */
  readonly allowUids?: readonly number[];
  /** Further gids that may read. */
  readonly allowGids?: readonly number[];
  /** All callers are read-only. */
  readonly readOnly?: boolean;
}

/** The rule by which a connection is accepted, and what its caller may do. */
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
   * A group that may read makes its members read-only whatever their uid, root included, as in C;
   * then the uids with full access count. Anybody else is refused with EPERM.
   */
  authenticate(peer: Credentials): Permissions | Errno {
    if (this.#readers.has(peer.gid)) return "read-only";
    if (!this.#writers.has(peer.uid)) return Errno.EPERM;
    return this.#readOnly ? "read-only" : "read-write";
  }

  /** Why a peer was refused, for the log; `command` is its name as the kernel has it. */
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
