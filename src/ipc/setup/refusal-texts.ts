/** Log lines about refused peers: the peer, the rule or the bound, and what to do. */
import { Errno, errnoName, errnoText } from "../../base/errno.ts";
import { commandOf } from "../../platform/processes.ts";
import type { Credentials } from "../../platform/socket.ts";
import { SHM } from "../../shm/ring-directory.ts";
import type { Handler } from "../handler.ts";
import { type ServiceSettings, shmSpace } from "../options.ts";
import type { Excess } from "./admission.ts";

const MIB = 1024 * 1024;

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** `pid 12 (perl), uid 33, gid 33` */
export function describePeer({ pid, uid, gid }: Credentials): string {
  return `pid ${pid} (${commandOf(pid)}), uid ${uid}, gid ${gid}`;
}

const MORE_SHM =
  `make ${SHM} larger (docker run --shm-size=1g, mount -o remount,size=1g ${SHM}), ` +
  `or have clients ask for smaller messages`;

/** The text that strerror(3) gives the client. */
const NO_SPACE = `${errnoText(Errno.ENOSPC)} (${errnoName(Errno.ENOSPC)})`;

/** Lines about the peers of one service. */
export class RefusalTexts {
  readonly #handler: Handler;
  readonly #settings: ServiceSettings;

  constructor(handler: Handler, settings: ServiceSettings) {
    this.#handler = handler;
    this.#settings = settings;
  }

  /** The handler's `authenticate` refused the peer; `bad user` is the text of pmxcfs. */
  denied(peer: Credentials): string {
    return `connection from bad user ${peer.uid}! - rejected: ${this.#reason(peer)}`;
  }

  #reason(peer: Credentials): string {
    try {
      return this.#handler.refusal?.(peer, commandOf(peer.pid)) ?? describePeer(peer);
    } catch (error) {
      return `${describePeer(peer)} (and no reason: ${String(error)})`;
    }
  }

  tooLarge(peer: Credentials, askedBytes: number): string {
    const limit = `${this.#settings.maxMessageBytes} bytes are allowed`;
    return `${describePeer(peer)} asked for messages of ${askedBytes} bytes; ${limit}`;
  }

  /** The peer's connection would exceed a bound. */
  full(peer: Credentials, excess: Excess, bytes: number, connections: number): string {
    const { connections: limit, connectionsPerUid, shmBytesPerUid } = this.#settings;
    if (excess === "connections") {
      return `no room for more connections (${connections} of ${limit}): refusing until some close`;
    }
    const who = `refused ${describePeer(peer)}`;
    if (excess === "connections of its uid") {
      return `${who}: its uid has ${connectionsPerUid} connections, as many as one uid may have`;
    }
    if (excess === "bytes of its uid") {
      const bound = `${mib(shmBytesPerUid)} of ${SHM} that one uid may have`;
      return `${who}: its rings of ${mib(bytes)} exceed the ${bound} (--max-shm-per-uid)`;
    }
    return `${who}: ${this.#noSpace(bytes)}`;
  }

  #noSpace(bytes: number): string {
    const { sizeBytes, freeBytes } = shmSpace();
    const kept = mib(this.#settings.shmRootReserveBytes);
    const free = `${mib(freeBytes)} of ${mib(sizeBytes)}`;
    const room = `${free} in ${SHM} are free (${kept} kept for root)`;
    return `${NO_SPACE}: its rings take ${mib(bytes)}, and ${room}: ${MORE_SHM}`;
  }

  /** For ENOSPC although bytes are free: no inodes are left. */
  #noInodes(): string {
    const next = `see df -i ${SHM}; mount -o remount,nr_inodes=1m ${SHM} allows more`;
    return `${NO_SPACE}: ${SHM} is out of inodes: ${next}`;
  }

  /** The peer's rings could not be made, or their files could not be given to the peer. */
  noRings(peer: Credentials, error: Errno, bytes: number): string {
    const who = `cannot make rings in ${SHM} for ${describePeer(peer)}`;
    if (error === Errno.ENOSPC && shmSpace().freeBytes > bytes)
      return `${who}: ${this.#noInodes()}`;
    if (error === Errno.ENOSPC) return `${who}: ${this.#noSpace(bytes)}`;
    const why = `${errnoText(error)} (${errnoName(error)})`;
    if (error !== Errno.EPERM) return `${who}: ${why}`;
    return (
      `${who}: ${why}: this server runs as uid ${process.geteuid?.()}, which may not give ` +
      `files to others, and ${SHM} has no access lists; --allow-uid ${peer.uid} alone does not ` +
      `help: run the server as root or as uid ${peer.uid}, or add its user to group ${peer.gid}`
    );
  }
}
