/** An rrdcached with its own directory, for one test. */
import type { Subprocess } from "bun";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { sendSignal } from "./process-state.ts";

/** True if a process listens on the socket; its file exists a moment earlier. */
async function accepts(unix: string): Promise<boolean> {
  try {
    const socket = await Bun.connect({ unix, socket: { data: () => {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** Owns the directory and the daemon, which runs between `start` and `stop`. */
export class RrdcachedFixture {
  readonly directory = mkdtempSync(join(tmpdir(), "rrdcached-test-"));
  readonly socketPath = join(this.directory, "rrdcached.sock");
  readonly baseDirectory = join(this.directory, "db");
  #daemon: Subprocess | undefined;

  constructor() {
    mkdirSync(this.baseDirectory);
  }

  /** Starts the daemon in the foreground, as a child process; resolves when it listens. */
  async start(): Promise<void> {
    const { directory, socketPath, baseDirectory } = this;
    const pidFile = join(directory, "pid");
    const options = ["-g", "-B", "-b", baseDirectory, "-p", pidFile, "-l", `unix:${socketPath}`];
    this.#daemon = Bun.spawn(["rrdcached", ...options, "-w", "3600", "-t", "1"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    await eventually("rrdcached listens", () => accepts(socketPath));
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    if (this.#daemon !== undefined) sendSignal(this.#daemon.pid, name);
  }

  /** Ends the daemon; resolves when it has ended. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = undefined;
    if (daemon === undefined) return;
    daemon.kill("SIGKILL");
    await daemon.exited;
    rmSync(this.socketPath, { force: true });
    rmSync(join(this.directory, "pid"), { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true });
  }

  path(file: string): string {
    return join(this.baseDirectory, file);
  }

  /** The lines of `rrdtool COMMAND` on a file. It does not ask rrdcached: flush first. */
  rrdtool(command: "dump" | "info" | "lastupdate", file: string): string[] {
    const { stdout, stderr, exitCode } = Bun.spawnSync(["rrdtool", command, this.path(file)]);
    if (exitCode !== 0) throw new Error(stderr.toString());
    return stdout.toString().split("\n");
  }
}
