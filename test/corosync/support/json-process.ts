/** A Bun program in a node that takes commands and reports events, one JSON object per line. */
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import { REPOSITORY } from "../../support/native.ts";
import type { ClusterNode } from "./cluster.ts";
import { innerPid, signalInner } from "./holder.ts";

/** An event from the program. */
export type ReportedEvent = Readonly<Record<string, unknown>> & { readonly event: string };

interface Line {
  readonly number?: number;
  readonly result?: unknown;
  readonly error?: string;
  readonly event?: string;
}

/** `C`: the type of its commands, discriminated by `op`. */
export class JsonProcess<C extends { readonly op: string }> implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #results = new Map<number, Line>();
  readonly events: ReportedEvent[] = [];
  #numbers = 0;
  /** Its output on stderr. */
  log = "";

  /** Starts the program of that name in test/corosync/servers in a node. */
  constructor(node: ClusterNode, script: string, ...words: readonly string[]) {
    const path = join(REPOSITORY, "test", "corosync", "servers", `${script}.ts`);
    const command = [process.execPath, path, ...words];
    this.#child = node.holder.start(command, { cwd: REPOSITORY, stdin: "pipe" });
    void this.#readEvents();
    void this.#readLog();
  }

  /** Sends a command and waits for its result; throws if the command threw. */
  async do(command: C, timeoutMs = 60_000): Promise<unknown> {
    const number = this.#numbers++;
    await this.#child.stdin.write(`${JSON.stringify({ number, command })}\n`);
    await this.#child.stdin.flush();
    const answer = (): Line | undefined => this.#results.get(number);
    const line = await eventually(`an answer to ${command.op}`, answer, timeoutMs);
    this.#results.delete(number);
    if (line.error !== undefined) throw new Error(line.error);
    return line.result;
  }

  /** Events of one kind so far. */
  of(event: string): ReportedEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  signal(signal: NodeJS.Signals): void {
    signalInner(this.#child.pid, signal);
  }

  /** Sends `signal` and waits for its end. */
  async stop(signal: NodeJS.Signals): Promise<void> {
    // nsenter may not have started it yet; or it has ended, and there is nothing to wait for.
    await innerPid(this.#child.pid).catch(() => {});
    this.signal(signal);
    await this.#child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }

  async #readEvents(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const text of lines) {
        const line = JSON.parse(text) as Line;
        if (line.event !== undefined) this.events.push(line as ReportedEvent);
        else if (line.number !== undefined) this.#results.set(line.number, line);
      }
    }
  }

  async #readLog(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) {
      this.log += decoder.decode(chunk, { stream: true });
    }
  }
}
