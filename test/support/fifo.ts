/** A named pipe for the output of a process, which a test reads when it wants to, or not at all. */
import { closeSync, constants, openSync, readSync } from "node:fs";

export class Fifo implements Disposable {
  readonly path: string;
  /** Open for reading and writing, so that no open of the path waits. */
  readonly fd: number;

  /** Makes it at `path`; the caller removes it. */
  constructor(path: string) {
    const { exitCode, stderr } = Bun.spawnSync(["mkfifo", path]);
    if (exitCode !== 0) throw new Error(stderr.toString());
    this.path = path;
    this.fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  }

  /** What is in it, without waiting for more. */
  taken(): string {
    const bytes = Buffer.alloc(64 * 1024);
    let text = "";
    for (;;) {
      try {
        text += bytes.toString("latin1", 0, readSync(this.fd, bytes));
      } catch {
        return text;
      }
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
  }
}
