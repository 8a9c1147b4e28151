/**
 * Writes RRD files through `rrdtool -`, a child process that reads commands from stdin, while no
 * rrdcached runs. It is a child because librrd's calls block on the disk; it is started on demand
 * and ended when idle. C counterpart: librrd's update and create, called in the thread that answers
 * requests.
 */
import type { Subprocess } from "bun";
import { linkSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { errorText } from "../../base/error-text.ts";
import { createArguments } from "./formats.ts";
import { type RrdFile, type RrdValues, type RrdWriter, Unavailable } from "./writer.ts";

/** A fixed path: a server that runs as root must not take a program from its caller's PATH. */
const PROGRAM_PATH = "/usr/bin:/usr/local/bin";

/** Above the size of the replies to any batch: a child that writes more is not rrdtool. */
const MAX_REPLY_BYTES = 1 << 20;

const DEFAULTS = { timeoutMs: 10_000, idleMs: 60_000 };

/** A word of a command: rrdtool has no escape for quotes, but joins adjacent quoted parts. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** Links a draft to its name, unless that exists; why it failed. */
function linked(draft: Buffer, path: Buffer): string | undefined {
  try {
    linkSync(draft, path);
    return undefined;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "EEXIST" ? undefined : message;
  }
}

interface Exchange {
  readonly expected: number;
  /** "" for OK, else the error text. */
  readonly replies: string[];
  readonly settle: (outcome: readonly string[] | Unavailable) => void;
}

export interface RrdtoolOptions {
  /** Timeout for a batch. */
  readonly timeoutMs?: number;
  /** The child is ended after this time without a command. */
  readonly idleMs?: number;
  /** Path of rrdtool, for tests. */
  readonly program?: string;
}

/**
 * Owns the child, which does not keep the process alive. Await each call before the next.
 */
export class Rrdtool implements RrdWriter {
  readonly #timeoutMs: number;
  readonly #idleMs: number;
  readonly #program: string | undefined;
  #child: Subprocess<"pipe", "pipe", "ignore"> | undefined;
  #exchange: Exchange | undefined;
  #received = "";
  /** Bytes received in the current exchange. */
  #receivedBytes = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;

  constructor(options: RrdtoolOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? DEFAULTS.timeoutMs;
    this.#idleMs = options.idleMs ?? DEFAULTS.idleMs;
    this.#program = options.program;
  }

  /** The child's pid; undefined while there is no child. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async update(values: readonly RrdValues[]): Promise<Map<RrdValues, string> | Unavailable> {
    const replies = await this.#run(
      values.map(({ path, values: each }) => `update ${quoted(path)} ${each}`),
    );
    if (replies instanceof Unavailable) return replies;
    const refused = new Map<RrdValues, string>();
    for (const [index, value] of values.entries()) {
      const reply = replies[index] ?? "";
      // `opening 'PATH': No such file or directory`, `PATH: illegal attempt to ...`
      const reason = reply.replace(`opening '${value.path}': `, "").replace(`${value.path}: `, "");
      if (reply !== "") refused.set(value, reason);
    }
    return refused;
  }

  /** Creates the file under another name, then links it: readers see a whole file or none. */
  async create({ path, layout, start }: RrdFile): Promise<string | Unavailable | undefined> {
    const draft = join(dirname(path), `.pmxcfs-ipc-${process.pid}`);
    const replies = await this.#run([`create ${quoted(draft)} ${createArguments(layout, start)}`]);
    if (replies instanceof Unavailable) return replies;
    if (replies[0] !== "") return replies[0];
    const draftBytes = Buffer.from(draft, "latin1");
    const failure = linked(draftBytes, Buffer.from(path, "latin1"));
    try {
      rmSync(draftBytes, { force: true });
    } catch (error) {
      return failure ?? errorText(error);
    }
    return failure;
  }

  /** Ends the child; the current exchange fails. */
  close(): void {
    this.#fail("closed", false);
  }

  async #run(commands: readonly string[]): Promise<readonly string[] | Unavailable> {
    const program = this.#program ?? Bun.which("rrdtool", { PATH: PROGRAM_PATH });
    if (program === null) return new Unavailable("it is not installed", true);
    const { promise, resolve } = Promise.withResolvers<readonly string[] | Unavailable>();
    this.#exchange = { expected: commands.length, replies: [], settle: resolve };
    this.#receivedBytes = 0;
    clearTimeout(this.#idle);
    const deadline = setTimeout(() => this.#fail("no answer", false), this.#timeoutMs);
    deadline.unref();
    this.#send(program, `${commands.join("\n")}\n`);
    const outcome = await promise;
    clearTimeout(deadline);
    this.#idle = setTimeout(() => this.#fail("idle", false), this.#idleMs);
    this.#idle.unref();
    return outcome;
  }

  #send(program: string, text: string): void {
    try {
      this.#child ??= this.#start(program);
    } catch (error) {
      this.#fail(errorText(error), true);
      return;
    }
    const child = this.#child;
    // EPIPE, thrown or as a rejection: the child has ended, which may show here before its output
    // ends.
    const ended = (): void => {
      if (child === this.#child) this.#fail("rrdtool ended", false);
    };
    try {
      Promise.resolve(child.stdin.write(Buffer.from(text, "latin1"))).catch(ended);
      Promise.resolve(child.stdin.flush()).catch(ended);
    } catch {
      ended();
    }
  }

  #start(program: string): Subprocess<"pipe", "pipe", "ignore"> {
    const child = Bun.spawn([program, "-"], {
      cwd: "/",
      env: { LC_ALL: "C", ...(process.env["TZ"] === undefined ? {} : { TZ: process.env["TZ"] }) },
      stdio: ["pipe", "pipe", "ignore"],
    });
    child.unref();
    void this.#read(child);
    return child;
  }

  async #read(child: Subprocess<"pipe", "pipe", "ignore">): Promise<void> {
    try {
      for await (const piece of child.stdout) {
        if (child !== this.#child) return;
        this.#receive(Buffer.from(piece).toString("latin1"));
      }
    } catch {
      // Handled below, as the end of its output is.
    }
    if (child === this.#child) this.#fail("rrdtool ended", false);
  }

  #receive(text: string): void {
    this.#received += text;
    this.#receivedBytes += text.length;
    if (this.#receivedBytes > MAX_REPLY_BYTES) {
      this.#fail("a reply without end", false);
      return;
    }
    const lines = this.#received.split("\n");
    this.#received = lines.pop() ?? "";
    for (const line of lines) {
      // Such a line ends the output of each command.
      if (line.startsWith("OK ")) this.#exchange?.replies.push("");
      else if (line.startsWith("ERROR: ")) this.#exchange?.replies.push(line.slice(7));
    }
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.replies.length < exchange.expected) return;
    this.#exchange = undefined;
    exchange.settle(exchange.replies);
  }

  #fail(reason: string, isAbsent: boolean): void {
    clearTimeout(this.#idle);
    const child = this.#child;
    this.#child = undefined;
    this.#received = "";
    child?.kill("SIGKILL");
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.settle(new Unavailable(reason, isAbsent));
  }
}
