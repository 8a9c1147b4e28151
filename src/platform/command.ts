/**
 * Another program run to its end or to a deadline, for reports. A child that hangs in the kernel,
 * or whose output a third process keeps open, holds nothing up.
 */
import { errorText } from "../base/error-text.ts";
import { within } from "../base/within.ts";

/** How a command ended. */
export interface Outcome {
  /** Undefined when it was killed, at its deadline or otherwise, or did not start. */
  readonly code: number | undefined;
  /** What it wrote, also until its deadline. */
  readonly out: string;
  /** stderr, or why it did not start or end by itself. */
  readonly error: string;
  readonly timedOut: boolean;
  /** The program does not exist. */
  readonly missing: boolean;
}

export interface CommandOptions {
  readonly deadlineMs: number;
  /** Of each output only the first bytes are kept; all, if this is left out. */
  readonly mostBytes?: number;
  /** Added to this process's environment. */
  readonly env: Readonly<Record<string, string>>;
}

/** The text that a stream has given so far. */
export class Collected {
  text = "";
  /** Resolves when all writers have closed the stream. */
  readonly ended: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>, mostBytes = Infinity) {
    this.ended = this.#collect(stream, mostBytes);
  }

  async #collect(stream: ReadableStream<Uint8Array>, mostBytes: number): Promise<void> {
    const decoder = new TextDecoder();
    let left = mostBytes;
    for await (const piece of stream) {
      if (left > 0) this.text += decoder.decode(piece.subarray(0, left), { stream: true });
      left -= piece.length;
    }
  }
}

const NOT_STARTED: Outcome = {
  code: undefined,
  out: "",
  error: "",
  timedOut: false,
  missing: true,
};

/** The child, or why there is none: no memory, processes or descriptors are left. */
function spawn(
  words: readonly string[],
  env: CommandOptions["env"],
): Bun.Subprocess<"ignore", "pipe", "pipe"> | string {
  try {
    return Bun.spawn([...words], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env },
    });
  } catch (error) {
    return `${words[0]} cannot be started: ${errorText(error)}`;
  }
}

/** Runs a program (no shell), and kills it after `deadlineMs`. */
export async function runCommand(
  words: readonly string[],
  { deadlineMs, mostBytes, env }: CommandOptions,
): Promise<Outcome> {
  const [program = ""] = words;
  if (Bun.which(program) === null) return NOT_STARTED;
  const child = spawn(words, env);
  if (typeof child === "string") return { ...NOT_STARTED, error: child, missing: false };
  const stdout = new Collected(child.stdout, mostBytes);
  const stderr = new Collected(child.stderr, mostBytes);
  const ended = Promise.all([child.exited, stdout.ended, stderr.ended]);
  const done = await within(ended, deadlineMs);
  const outcome = { out: stdout.text, error: stderr.text, timedOut: false, missing: false };
  if (done === undefined) {
    child.kill("SIGKILL");
    // A child that the kernel does not let end must not keep this process alive.
    child.unref();
    return { ...outcome, code: undefined, timedOut: true };
  }
  const { signalCode } = child;
  if (signalCode === null) return { ...outcome, code: done[0] };
  const why = `${program} was killed by ${signalCode}`;
  return { ...outcome, code: undefined, error: outcome.error + why };
}
