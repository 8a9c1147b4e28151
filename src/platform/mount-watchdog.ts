/**
 * Aborts a mount whose server no longer answers, for kernels without FUSE_REQUEST_TIMEOUT (before
 * Linux 6.14): a separate process that keeps open only a heartbeat socket and the connection's
 * directory below /sys/fs/fuse/connections.
 */
import { existsSync } from "node:fs";
import { errnoText } from "../base/errno.ts";
import { everySecond } from "../base/heartbeat.ts";
import { closeDescriptor, Directory } from "./files.ts";
import { shim } from "./shim.ts";

const CONNECTIONS = "/sys/fs/fuse/connections";
const BYTE = new Uint8Array(1);
const pair = new Int32Array(2);

/** A running watchdog; owns the heartbeat. */
export class MountWatchdog implements Disposable {
  readonly #heartbeat: number;
  readonly #beats: Disposable;

  private constructor(heartbeat: number) {
    this.#heartbeat = heartbeat;
    this.#beats = everySecond(() => shim.shim_send(heartbeat, BYTE, 1));
  }

  /**
   * Watches connection `minor` (of st_dev): aborts it when this process's event loop did not run
   * for `limitMs` and requests wait. A string says why that is not possible.
   */
  static start(minor: number, limitMs: number): MountWatchdog | string {
    const directory = `${CONNECTIONS}/${minor}`;
    if (!existsSync(directory)) {
      return `${CONNECTIONS} is not mounted (mount -t fusectl fusectl ${CONNECTIONS})`;
    }
    const connection = Directory.open(directory);
    if (!(connection instanceof Directory)) return `${directory}: ${errnoText(connection)}`;
    using opened = connection;
    const made = shim.shim_socket_pair(pair);
    if (made < 0) return errnoText(made);
    const [ours = -1, theirs = -1] = pair;
    const started = shim.shim_watchdog(theirs, opened.fd, limitMs);
    closeDescriptor(theirs);
    if (started >= 0) return new MountWatchdog(ours);
    closeDescriptor(ours);
    return errnoText(started);
  }

  [Symbol.dispose](): void {
    this.#beats[Symbol.dispose]();
    closeDescriptor(this.#heartbeat);
  }
}
