/**
 * API tokens, the lines of priv/token.cfg: a set of them is rebuilt when the file has changed. C
 * counterpart: server.c, VERIFY_TOKEN, which searches the file each time.
 */
import type { Memdb } from "./memdb.ts";

const TOKEN_FILE = "priv/token.cfg";

export class Tokens {
  readonly #memdb: Memdb;
  #lines: ReadonlySet<string> | undefined;

  constructor(memdb: Memdb) {
    this.#memdb = memdb;
    memdb.subscribe(({ kind, path }) => {
      if (path === TOKEN_FILE || kind === "reloaded") this.#lines = undefined;
    });
  }

  /** True when a whole line of the file equals `line` (latin1, no newline in it). */
  has(line: string): boolean {
    this.#lines ??= linesOf(this.#memdb.read(TOKEN_FILE));
    return this.#lines.has(line);
  }
}

/** The lines of a file; the last one need not end in a newline. */
function linesOf(content: Uint8Array | undefined): ReadonlySet<string> {
  if (content === undefined) return new Set();
  const lines = Buffer.from(content).toString("latin1").split("\n");
  if (lines.at(-1) === "") lines.pop();
  return new Set(lines);
}
