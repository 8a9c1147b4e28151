/**
 * Answers to requests that clients repeat, by the request's body, until what they were made of
 * changes: a hit costs neither the decoding of the body nor the making of the answer. Bounded.
 */
import type { Errno } from "../../base/errno.ts";

/** Most answers, and their bytes below: enough for clients that repeat their requests. */
const MOST_ANSWERS = 64;
const MOST_BYTES = 8 * 1024 * 1024;

export class KeptAnswers {
  readonly #answers = new Map<string, Uint8Array>();
  #bytes = 0;

  /** The answer to `question`; undefined when none is kept. */
  get(question: string): Uint8Array | undefined {
    return this.#answers.get(question);
  }

  /** Keeps an answer, but not an error; returns it. Without room, all others are dropped first. */
  keep(question: string, answer: Uint8Array | Errno): Uint8Array | Errno {
    if (typeof answer === "number") return answer;
    const size = question.length + answer.length;
    if (this.#answers.size >= MOST_ANSWERS || this.#bytes + size > MOST_BYTES) this.drop();
    if (size > MOST_BYTES) return answer;
    this.#answers.set(question, answer);
    this.#bytes += size;
    return answer;
  }

  /** Drops all: what they were made of has changed. */
  drop(): void {
    this.#answers.clear();
    this.#bytes = 0;
  }
}
