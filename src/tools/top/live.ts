/**
 * The live screen: reads the server's status at intervals, redraws, takes keys, and leaves the
 * terminal as it was. Plain ANSI (ECMA-48, and xterm's alternate screen).
 */
import { escapeText } from "../../base/escape.ts";
import type { StatusDocument } from "../../observe/status.ts";
import { type Look, screen, sizeOf } from "./screen.ts";
import { type SortName, SORTS, type View, viewOf } from "./view.ts";

const ESCAPE = "\u001B[";
const ENTER = `${ESCAPE}?1049h${ESCAPE}?25l`;
const LEAVE = `${ESCAPE}?25h${ESCAPE}?1049l`;
const HOME = `${ESCAPE}H`;
const CLEAR_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;
const CTRL_C = "\u0003";

export interface LiveOptions {
  readonly read: () => Promise<StatusDocument | string>;
  readonly intervalMs: number;
  readonly sort: SortName;
  readonly look: Look;
}

/** State of one live screen. */
class Live {
  readonly #options: LiveOptions;
  readonly #quit = Promise.withResolvers<undefined>();
  #over = false;
  #sort: SortName;
  #reverse = false;
  #last: StatusDocument | undefined;
  #view: View | undefined;
  #trouble: string | undefined;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#sort = options.sort;
  }

  async run(): Promise<void> {
    const { stdin, stdout } = process;
    const resized = () => this.#draw();
    const stop = () => this.#stop();
    const key = (bytes: Buffer) => this.#keys(bytes.toString("latin1"));
    stdout.write(ENTER);
    stdout.on("resize", resized);
    process.on("SIGTERM", stop).on("SIGINT", stop);
    if (stdin.isTTY) stdin.setRawMode(true).on("data", key).resume();
    try {
      await this.#look();
    } finally {
      if (stdin.isTTY) stdin.off("data", key).setRawMode(false).pause();
      process.off("SIGTERM", stop).off("SIGINT", stop);
      stdout.off("resize", resized);
      stdout.write(LEAVE);
    }
  }

  /** Reads and draws until stopped. */
  async #look(): Promise<void> {
    const quit = this.#quit.promise;
    while (!this.#over) {
      const status = await Promise.race([this.#options.read(), quit]);
      if (typeof status === "string") {
        this.#trouble = status;
      } else if (status !== undefined) {
        this.#trouble = undefined;
        this.#view = viewOf(status, this.#last);
        this.#last = status;
      }
      if (!this.#over) this.#draw();
      await Promise.race([Bun.sleep(this.#options.intervalMs), quit]);
    }
  }

  #stop(): void {
    this.#over = true;
    this.#quit.resolve(undefined);
  }

  #keys(typed: string): void {
    for (const key of typed) {
      if (key === "q" || key === CTRL_C) this.#stop();
      if (key === "R") this.#reverse = !this.#reverse;
      const named = Object.entries(SORTS).find(([, sort]) => sort.key === key);
      if (named !== undefined) this.#sort = named[0] as SortName;
    }
    if (!this.#over) this.#draw();
  }

  #draw(): void {
    const { look } = this.#options;
    const { columns, rows } = sizeOf(process.stdout);
    const options = { columns, rows, sort: this.#sort, reverse: this.#reverse, look };
    const lines = this.#view === undefined ? [""] : screen(this.#view, options);
    // After a failure the last numbers stay, with the failure above them.
    if (this.#trouble !== undefined)
      lines[0] = look.red(escapeText(this.#trouble).slice(0, columns));
    process.stdout.write(`${HOME}${lines.join(`${CLEAR_LINE}\r\n`)}${CLEAR_LINE}${CLEAR_BELOW}`);
  }
}

/** Shows the server until q, Ctrl-C or SIGTERM. */
export async function showLive(options: LiveOptions): Promise<void> {
  await new Live(options).run();
}
