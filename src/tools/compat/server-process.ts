/**
 * A service that the runner starts, stops and starts again. It is up when it accepts or refuses a
 * client.
 */
import { readdirSync, rmdirSync } from "node:fs";
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import { SHM } from "../../shm/ring-directory.ts";

/** Time limits for a server's start and stop. */
const UP_MS = 20_000;
const DOWN_MS = 10_000;
const POLL_MS = 10;
/** Bytes of its output that are kept for the error text of a failed start. */
const OUTPUT_BYTES = 2000;

/** The server could not be started; `message` has its output. */
export class ServerFailure extends Error {}

export class ServerProcess {
  readonly name: string;
  readonly #command: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;
  #process: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;
  #output = "";
  #servingPid = 0;
  readonly #killed = new Set<number>();

  /** `command` must serve `name`; `start` runs it. */
  constructor(
    name: string,
    command: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    this.#command = command;
    this.#environment = environment;
  }

  get running(): boolean {
    const process = this.#process;
    return process !== undefined && process.exitCode === null && process.signalCode === null;
  }

  /**
   * The pid of the server after the last start; it is not the child's if the command is a script.
   */
  get servingPid(): number {
    return this.#servingPid;
  }

  /** Starts it and waits until it serves; throws ServerFailure. */
  async start(): Promise<void> {
    if (this.running) return;
    this.#output = "";
    const child = Bun.spawn([...this.#command], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...this.#environment },
    });
    this.#process = child;
    void this.#listen(child.stdout);
    void this.#listen(child.stderr);
    const deadline = performance.now() + UP_MS;
    while (performance.now() < deadline) {
      if (!this.running) throw this.#failure("ended");
      const client = await QbClient.connect(this.name, { timeoutMs: 1000 });
      if (!(client instanceof QbFailure)) {
        this.#servingPid = client.server.pid;
        return client.close();
      }
      if (client.kind !== "absent" && client.kind !== "timeout") return;
      await Bun.sleep(POLL_MS);
    }
    await this.stop("SIGKILL");
    throw this.#failure(`did not serve ${this.name} within ${UP_MS / 1000} s`);
  }

  /** Removes the ring directories of killed servers: libqb's clients only empty them. */
  sweep(): void {
    for (const pid of this.#killed) {
      for (const name of readdirSync(SHM)) {
        if (pid === 0 || !name.startsWith(`qb-${pid}-`)) continue;
        try {
          rmdirSync(`${SHM}/${name}`);
        } catch {
          // Not empty: a client still uses it. Or already removed.
        }
      }
    }
  }

  #failure(event: string): ServerFailure {
    const lines = this.#output.trim().split("\n").slice(-3).join(" / ");
    return new ServerFailure(`"${this.#command.join(" ")}" ${event}${lines && `: ${lines}`}`);
  }

  async #listen(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      this.#output = (this.#output + decoder.decode(chunk, { stream: true })).slice(-OUTPUT_BYTES);
    }
  }

  /** Signals the server and waits for its end; kills it if that takes too long. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    if (signal === "SIGKILL") this.#killed.add(this.#servingPid);
    if (this.running) child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), DOWN_MS);
    await child.exited;
    clearTimeout(timer);
  }
}
