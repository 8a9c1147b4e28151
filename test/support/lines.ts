/**
 * A child process that answers each line of its stdin with one line of JSON, such as the clients of
 * test/native. `await using` closes its stdin and waits for its end.
 */
import { sendSignal } from "./process-state.ts";

export class LineProcess<R> implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(command: readonly string[]) {
    this.#process = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
    this.#lines = linesOf(this.#process.stdout);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** The next line of its output; throws if the process has ended. */
  async next(): Promise<R> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`process ${this.pid} ended without an answer`);
    return JSON.parse(value) as R;
  }

  /** Writes one line and waits for its answer. */
  async ask(line: string): Promise<R> {
    await this.#process.stdin.write(`${line}\n`);
    await this.#process.stdin.flush();
    return await this.next();
  }

  signal(signal: NodeJS.Signals): void {
    const { exitCode, signalCode, pid } = this.#process;
    if (exitCode === null && signalCode === null) sendSignal(pid, signal);
  }

  /** Ends the process with SIGKILL, as in a crash. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.#process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stdin.end();
    await this.#process.exited;
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let pending: string[] = [];
  for await (const chunk of stream) {
    const pieces = Buffer.from(chunk).toString("latin1").split("\n");
    for (const piece of pieces.slice(0, -1)) {
      yield pending.join("") + piece;
      pending = [];
    }
    pending.push(pieces.at(-1) ?? "");
  }
}
