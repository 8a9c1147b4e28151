/**
 * The runner's end of a client process: starts it, sends it lines, reads its answers, and kills it
 * when an answer is late (libqb waits without a limit on some broken servers). A process that has
 * completed its case is used again.
 */
import { ChildLines } from "../../platform/child-lines.ts";
import { selfCommand } from "../../platform/self.ts";
import type { Flavor, User } from "./case.ts";
import { CHILD_VARIABLE, type Answer } from "./protocol.ts";

/** Time limit for the start of a client. */
const START_MS = 15_000;

/** Debian's fixed ids (base-passwd). */
const IDS: Readonly<Record<Exclude<User, "self">, readonly [uid: number, gid: number]>> = {
  "www-data": [33, 33],
  stranger: [65_534, 65_534],
};

/** A client did not answer in time, or has ended; `message` says which. */
export class ClientEnded extends Error {}

/** One client process. */
export class ClientProcess {
  readonly user: User;
  readonly #process: Bun.Subprocess<"pipe", "pipe", "pipe">;
  readonly #lines: ChildLines;
  #ended = false;

  private constructor(user: User, command: readonly string[], role: string | undefined) {
    this.user = user;
    this.#process = Bun.spawn([...command], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...(role === undefined ? {} : { [CHILD_VARIABLE]: role }) },
    });
    this.#lines = new ChildLines(this.#process.stdout);
  }

  /** Starts a client of kind `flavor`; `cPath` is the compiled one. Throws ClientEnded. */
  static async start(flavor: Flavor, user: User, cPath: string): Promise<ClientProcess> {
    const ids = user === "self" ? [] : IDS[user].map(String);
    const client =
      flavor === "c"
        ? new ClientProcess(user, [cPath, ...ids], undefined)
        : new ClientProcess(user, [...selfCommand(), "compat"], [flavor, ...ids].join(" "));
    const { res } = await client.#answer(START_MS);
    if (res === 0) return client;
    client.kill();
    throw new ClientEnded("the client could not load libqb");
  }

  get pid(): number {
    return this.#process.pid;
  }

  get ended(): boolean {
    return this.#ended || this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** One line and its answer, within `timeoutMs`; throws ClientEnded and kills it otherwise. */
  async ask(line: string, timeoutMs: number): Promise<Answer> {
    try {
      await this.#process.stdin.write(`${line}\n`);
      await this.#process.stdin.flush();
    } catch {
      // It ended between two lines; the end of its output is reported.
    }
    return await this.#answer(timeoutMs);
  }

  async #answer(timeoutMs: number): Promise<Answer> {
    const next = await this.#lines.next(timeoutMs);
    if (next === "late") {
      this.kill();
      throw new ClientEnded(`the client's call did not return within ${Math.round(timeoutMs)} ms`);
    }
    if (next !== "ended") return JSON.parse(next.line) as Answer;
    this.#ended = true;
    await this.#process.exited;
    const { signalCode, exitCode } = this.#process;
    const lastLine = (await this.#process.stderr.text()).trim().split("\n").at(-1) ?? "";
    throw new ClientEnded(`the client died (${signalCode ?? `exit code ${exitCode}`}) ${lastLine}`);
  }

  kill(): void {
    this.#ended = true;
    this.#process.kill("SIGKILL");
  }

  /** Closes its stdin and waits for its end; kills it after 1 s. */
  async end(): Promise<void> {
    if (!this.ended) {
      await this.#process.stdin.end();
      const timer = setTimeout(() => this.kill(), 1000);
      await this.#process.exited;
      clearTimeout(timer);
    }
    await this.#process.exited;
  }
}

/** Idle clients, by kind and user; owns them. */
export class ClientPool implements AsyncDisposable {
  readonly #cPath: string;
  readonly #idle = new Map<string, ClientProcess[]>();

  constructor(cPath: string) {
    this.#cPath = cPath;
  }

  async take(flavor: Flavor, user: User): Promise<ClientProcess> {
    const idle = this.#idle.get(`${flavor} ${user}`)?.pop();
    return idle ?? (await ClientProcess.start(flavor, user, this.#cPath));
  }

  /** Takes a client back; one that cannot disconnect in time is ended. */
  async giveBack(flavor: Flavor, client: ClientProcess): Promise<void> {
    try {
      if (!client.ended) await client.ask("disconnect", 1000);
    } catch {
      // It has ended; the case that used it has reported the reason.
    }
    if (client.ended) return await client.end();
    const key = `${flavor} ${client.user}`;
    this.#idle.set(key, [...(this.#idle.get(key) ?? []), client]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#idle.values()].flat();
    this.#idle.clear();
    await Promise.all(all.map((client) => client.end()));
  }
}
