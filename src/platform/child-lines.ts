/** The lines that a child process writes, each waited for within a time limit. */
import { within } from "../base/within.ts";

/** Owns the reading of `stream`, the child's stdout. */
export class ChildLines {
  readonly #lines: AsyncIterator<string>;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#lines = linesOf(stream);
  }

  /**
   * The next line. `late`: there was none within `timeoutMs`, and the child is to be killed, since
   * its answers and its questions do not belong together any more. `ended`: the stream has ended.
   */
  async next(timeoutMs: number): Promise<{ readonly line: string } | "late" | "ended"> {
    const next = await within(this.#lines.next(), timeoutMs);
    if (next === undefined) return "late";
    return next.done === true ? "ended" : { line: next.value };
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const pieces: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const [first = "", ...more] = decoder.decode(chunk, { stream: true }).split("\n");
    pieces.push(first);
    for (const piece of more) {
      yield pieces.splice(0).join("");
      pieces.push(piece);
    }
  }
}
