/**
 * Servers under test as processes: a unique service name, a start that resolves when the server
 * listens on it, a stop by pid, and the output. `await using` stops the server.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { statusPath } from "../../src/observe/status.ts";
import { eventually } from "./eventually.ts";
import { native, REPOSITORY } from "./native.ts";
import { sendSignal } from "./process-state.ts";

let names = 0;

/** A service name that no other running test uses. */
export function uniqueName(prefix = "test"): string {
  return `${prefix}-${process.pid}-${names++}`;
}

/** Paths of the sockets of services that the test process `pid` has named. */
export function socketsOf(pid: number): string[] {
  const directory = dirname(statusPath("", process.env, process.getuid?.()) ?? "");
  const own = new RegExp(`-${pid}-\\d+\\.`);
  const found = existsSync(directory) ? readdirSync(directory) : [];
  return found.filter((name) => own.test(name)).map((name) => join(directory, name));
}

/** True if a socket listens on the abstract name: flag 0x10000 in /proc/net/unix. */
export function isListening(name: string): boolean {
  const line = new RegExp(`^\\S+ \\S+ \\S+ 00010000 .* @${name}(@|$)`, "mu");
  return line.test(readFileSync("/proc/net/unix", "latin1"));
}

/** Removes the status socket of a service, which a killed server leaves. */
export function removeStatus(service: string): void {
  const path = statusPath(service, process.env, process.getuid?.());
  if (path !== undefined) rmSync(path, { force: true });
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

  /** Its stdout and stderr so far. */
  get output(): string {
    return this.#output;
  }

  /** Its exit code (128 + n after signal n), undefined while it runs. */
  get exitCode(): number | undefined {
    const { exitCode, signalCode } = this.#process;
    if (exitCode !== null) return exitCode;
    if (signalCode === null) return undefined;
    return 128 + (typeof signalCode === "number" ? signalCode : constants.signals[signalCode]);
  }

  signal(signal: NodeJS.Signals): void {
    // Not to another process that has got the pid of one that was killed.
    if (this.exitCode === undefined) sendSignal(this.pid, signal);
  }

  /** Sends `signal` and waits for the end, as `ended`. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.signal(signal);
    return await this.ended();
  }

  /** Waits for the end; after 30 s kills the server. Returns the exit code. */
  async ended(): Promise<number> {
    const timer = setTimeout(() => this.signal("SIGKILL"), 30_000);
    const code = await this.#process.exited;
    clearTimeout(timer);
    await this.#drained;
    removeStatus(this.name);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.exitCode === undefined) await this.stop();
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.#output += decoder.decode(chunk, { stream: true });
  }
}

/** Starts `command(name)`; resolves when it listens on `name`, else throws with its output. */
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

/** The command of the program: the built binary, or the sources if it is not built. */
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

/** The command of our echo server; with PMXCFS_IPC_TEST_TARGET=c, of the C one (libqb). */
export function echoCommand(name: string): readonly string[] {
  if (process.env["PMXCFS_IPC_TEST_TARGET"] === "c") {
    return [native("qb-echo-server"), name, "--accept-any"];
  }
  return [...program(), "echo", "--socket", name, "--accept-any"];
}

/** The command of `serve` with a service name and these flags. */
export function serveCommand(...flags: readonly string[]): (name: string) => readonly string[] {
  return (name) => [...program(), "serve", "--socket", name, ...flags];
}
