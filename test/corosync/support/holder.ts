/**
 * A set of namespaces (network, mounts, host name, processes) that exists as long as this object.
 * Its first process reads a pipe from us, so it ends when we end, in whatever way; the kernel then
 * removes all processes, mounts and interfaces in it.
 */
import { readFileSync } from "node:fs";
import { Entered } from "../../support/entered.ts";
import { eventually } from "../../support/eventually.ts";

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command inside is started. */
export interface StartOptions<In extends "ignore" | "pipe"> {
  readonly stdin: In;
  readonly cwd?: string;
  /** In addition to our own. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Holder implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #entered = new Entered();

  private constructor(process: Bun.Subprocess<"pipe", "pipe", "pipe">) {
    this.#process = process;
  }

  /** Makes the namespaces and runs the shell script `setUp` as their first process. */
  static async make(setUp: string): Promise<Holder> {
    const script = `set -e\n${setUp}\necho ready\nexec cat >/dev/null`;
    const flags = ["--net", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const child = Bun.spawn(["unshare", ...flags, "--propagation", "private", "sh", "-c", script], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    if (!new TextDecoder().decode(value).startsWith("ready")) {
      throw new Error(`no namespaces: ${await child.stderr.text()}`);
    }
    return new Holder(child);
  }

  /** A process in these namespaces. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The path, in our namespace, of a file in its mount namespace. */
  path(file: string): string {
    return `/proc/${this.pid}/root${file}`;
  }

  /** Starts a command inside, by `nsenter`, which ends with it. */
  start<In extends "ignore" | "pipe">(
    command: readonly string[],
    options: StartOptions<In>,
  ): Bun.Subprocess<In, "pipe", "pipe"> {
    const spaces = ["-n", "-m", "-u", `--pid=/proc/${this.pid}/ns/pid_for_children`];
    const child = Bun.spawn(["nsenter", "-t", `${this.pid}`, ...spaces, "--", ...command], {
      ...options,
      env: { ...process.env, ...options.env },
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#entered.add(child);
    return child;
  }

  /** A command that runs `command` only in its network namespace, with this host's pids. */
  enterNetwork(command: readonly string[]): string[] {
    return ["nsenter", "-t", `${this.pid}`, "-n", "--", ...command];
  }

  /** Runs a command inside and waits for its end. */
  async run(command: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
    const child = this.start(command, { stdin: "ignore", env });
    const [stdout, stderr, exitCode] = await Promise.all([
      child.stdout.text(),
      child.stderr.text(),
      child.exited,
    ]);
    return { exitCode, stdout, stderr };
  }

  /** Waits for the end of all processes inside. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    await this.#entered.ended();
  }
}

/** The process that an `nsenter` started; nsenter itself stays outside the pid namespace. */
export async function innerPid(nsenter: number): Promise<number> {
  return await eventually("the process inside", () => childOf(nsenter));
}

function childOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
  return Number(children.trim().split(" ")[0]) || undefined;
}

/** Signals the process that an `nsenter` started; does nothing if it has ended. */
export function signalInner(nsenter: number, signal: NodeJS.Signals): void {
  try {
    const inner = childOf(nsenter);
    if (inner !== undefined) process.kill(inner, signal);
    // nsenter stops with its child, and does not see it continue or end until it is continued.
    if (signal === "SIGCONT" || signal === "SIGKILL") process.kill(nsenter, "SIGCONT");
  } catch {
    // It has ended.
  }
}
