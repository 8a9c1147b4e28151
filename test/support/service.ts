/**
 * Servers under test as processes: a service name nobody else has, a start that returns once the
 * name is listening, a stop by pid, and what the process said. `await using` stops it.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { statusPath } from "../../src/observe/status.ts";
import { eventually } from "./eventually.ts";
import { native, REPOSITORY } from "./native.ts";
import { sendSignal } from "./process-state.ts";

let names = 0;

/** A service name no other test, process or run uses at this time. */
export function uniqueName(prefix = "test"): string {
  return `${prefix}-${process.pid}-${names++}`;
}

/** Whether somebody listens on the abstract name, as the kernel lists it (flag 0x10000). */
export function isListening(name: string): boolean {
  const line = new RegExp(`^\\S+ \\S+ \\S+ 00010000 .* @${name}(@|$)`, "mu");
  return line.test(readFileSync("/proc/net/unix", "latin1"));
}

/** A server process that owns a service name. */
export class Service implements AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  #output = "";
  readonly #drained: Promise<unknown>;

  constructor(name: string, command: readonly string[], environment: Record<string, string>) {
    this.name = name;
    this.#process = Bun.spawn([...command], {
      cwd: REPOSITORY,
      env: { ...process.env, ...environment },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.pid = this.#process.pid;
    this.#drained = Promise.all([
      this.#collect(this.#process.stdout),
      this.#collect(this.#process.stderr),
    ]);
  }

  /** What it wrote to stdout and stderr so far. */
  get output(): string {
    return this.#output;
  }

  /** Its exit code (128 + n after signal n), undefined while it runs. */
  get exitCode(): number | undefined {
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null) return exitCode;
    return signalCode === null ? undefined : 128;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#process.exitCode === null) sendSignal(this.#process.pid, signal);
  }

  /** Sends `signal` and waits for the end, as `ended` does. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.signal(signal);
    return await this.ended();
  }

  /** Waits for the end, killing after 10 s. Returns the exit code. */
  async ended(): Promise<number> {
    const timer = setTimeout(() => this.signal("SIGKILL"), 10_000);
    const code = await this.#process.exited;
    clearTimeout(timer);
    await this.#drained;
    this.#removeStatus();
    return code;
  }

  /** A killed server leaves its status socket. */
  #removeStatus(): void {
    const path = statusPath(this.name, process.env, process.getuid?.());
    if (path !== undefined) rmSync(path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.exitCode === undefined) await this.stop();
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.#output += decoder.decode(chunk, { stream: true });
  }
}

/** Starts `command(name)` and resolves when it listens on `name`; throws with its output if not. */
export async function startService(
  command: (name: string) => readonly string[],
  options: { name?: string; environment?: Record<string, string> } = {},
): Promise<Service> {
  const name = options.name ?? uniqueName();
  const service = new Service(name, command(name), options.environment ?? {});
  try {
    await eventually(`${name} listening`, () => {
      if (service.exitCode !== undefined) throw new Error(`exit code ${service.exitCode}`);
      return isListening(name);
    });
  } catch (error) {
    await service.stop("SIGKILL");
    throw new Error(`${command(name).join(" ")}: ${String(error)}\n${service.output}`, {
      cause: error,
    });
  }
  return service;
}

/** How to run our program: the built binary, or the sources where it was not built. */
export function program(): readonly string[] {
  const binary = join(REPOSITORY, "dist", "pmxcfs-ipc");
  if (existsSync(binary)) return [binary];
  return [process.execPath, join(REPOSITORY, "src", "main.ts")];
}

/** The command of a server of test/support/servers, on our library, from the sources. */
export function libraryCommand(server: string, ...flags: string[]): (name: string) => string[] {
  const script = join(REPOSITORY, "test", "support", "servers", `${server}.ts`);
  return (name) => [process.execPath, script, name, ...flags];
}

/** The command of our echo server; with PMXCFS_IPC_TEST_TARGET=c, of the C one on libqb. */
export function echoCommand(name: string): readonly string[] {
  if (process.env["PMXCFS_IPC_TEST_TARGET"] === "c") {
    return [native("qb-echo-server"), name, "--accept-any"];
  }
  return [...program(), "echo", "--socket", name, "--accept-any"];
}

/** The command of our server with these flags beside its service name. */
export function serveCommand(...flags: readonly string[]): (name: string) => readonly string[] {
  return (name) => [...program(), "serve", "--socket", name, ...flags];
}
