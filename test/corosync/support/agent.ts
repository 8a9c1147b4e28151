/** Speaks to corosync from within a node of a test cluster: the tests' end of servers/agent.ts. */
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import { REPOSITORY } from "../../support/native.ts";
import type { ClusterNode } from "./cluster.ts";
import { signalInner } from "./holder.ts";

interface Operations {
  /** Connects for a group; with `slowMs` each message takes its callback that long. */
  readonly connect: { readonly group: string; readonly slowMs?: number };
  readonly join: { readonly group: string };
  readonly leave: { readonly group: string };
  readonly members: { readonly group: string };
  readonly finalize: { readonly group: string };
  readonly mcast: { readonly group: string; readonly text: string };
  readonly flood: { readonly group: string; readonly text: string; readonly count: number };
  readonly large: { readonly group: string; readonly text: string; readonly size: number };
  /** Sends without a pause until 100 notify bytes are owed; stops itself then when told so. */
  readonly owe: { readonly most: number; readonly stops?: boolean };
  readonly quorum: object;
  readonly cmap: object;
  readonly values: { readonly prefix: string };
  readonly track: { readonly prefix: string; readonly what: number };
}

export type CommandOf<K extends keyof Operations> = { readonly op: K } & Operations[K];
export type Command = { [K in keyof Operations]: CommandOf<K> }[keyof Operations];

/** An event as the agent reports it. */
export type AgentEvent = Readonly<Record<string, unknown>> & { readonly event: string };

interface Line {
  readonly number?: number;
  readonly result?: unknown;
  readonly error?: string;
  readonly event?: string;
}

export class Agent implements AsyncDisposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #results = new Map<number, Line>();
  readonly events: AgentEvent[] = [];
  #numbers = 0;

  constructor(node: ClusterNode) {
    const script = join(REPOSITORY, "test", "corosync", "servers", "agent.ts");
    this.#child = Bun.spawn(node.holder.enter([process.execPath, script]), {
      cwd: REPOSITORY,
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    void this.#read();
  }

  /** Gives a command and waits for its result; throws when it threw. */
  async do(command: Command): Promise<unknown> {
    const number = this.#numbers++;
    await this.#child.stdin.write(`${JSON.stringify({ number, command })}\n`);
    await this.#child.stdin.flush();
    const line = await eventually(
      `an answer to ${command.op}`,
      () => this.#results.get(number),
      60_000,
    );
    if (line.error !== undefined) throw new Error(line.error);
    return line.result;
  }

  /** Events of one kind so far. */
  of(event: string): AgentEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  signal(signal: NodeJS.Signals): void {
    signalInner(this.#child.pid, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#child.exited;
  }

  async #read(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stdout) {
      rest += decoder.decode(chunk, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const text of lines) {
        const line = JSON.parse(text) as Line;
        if (line.event !== undefined) this.events.push(line as AgentEvent);
        else if (line.number !== undefined) this.#results.set(line.number, line);
      }
    }
  }
}
