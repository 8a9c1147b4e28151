/**
 * The shape of an entry of `explain`: one error text as people meet it, what it means, and its
 * causes in order of likelihood. Entries live in texts/; causes that `--check` can find name their
 * code, whose cause and fix are then printed, so that both say the same.
 */
import type { CodeName } from "./codes.ts";

export interface Cause {
  /** What happened, where no code says it. */
  readonly text?: string;
  readonly code?: CodeName;
  /** How to see that it is this one. */
  readonly tell: string;
  /** When the pasted line matches, this cause comes first. */
  readonly signs?: RegExp;
}

export interface ErrorText {
  readonly id: string;
  /** As it is printed. */
  readonly title: string;
  /** Found in a line, whatever stands around it; lines are in lower case, quotes are `'`. */
  readonly patterns: readonly RegExp[];
  readonly meaning: string;
  readonly causes: readonly Cause[];
}
