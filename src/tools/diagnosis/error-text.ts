/**
 * The shape of an error text: a line that an administrator sees and pastes into `explain`. Its
 * causes refer to codes, so that `explain` and `--check` give the same reasons and remedies.
 */

import type { CodeName } from "./codes.ts";
import type strerror from "./strerror.json";

/** The symbol of an errno that strerror(3) has a text for; UNKNOWN is "Unknown error". */
export type ErrnoWord = keyof typeof strerror;

/**
 * The subject that a line must have for its libc text to count: a request of the IPC (also a line
 * that is only the libc text), /etc/pve, /dev/shm, or the database.
 */
export type Place = "ipc" | "pve" | "shm" | "database";

export interface Cause {
  /** The cause, if there is no code for it. */
  readonly text?: string;
  readonly code?: CodeName;
  /** The command or observation by which this cause is recognized. */
  readonly check: string;
  /** If the pasted line matches, this cause is listed first. */
  readonly signs?: RegExp;
}

export interface ErrorText {
  readonly id: string;
  /** The line as it is printed. */
  readonly title: string;
  /** Default: cause. In an answer symptoms are listed after causes, and normal lines last. */
  readonly kind?: "cause" | "symptom" | "normal";
  /** Searched for anywhere in a line, which is in lower case and has `'` for all quotes. */
  readonly patterns?: readonly RegExp[];
  /** Errnos whose libc text, in any language, counts in a line about one of `places`. */
  readonly errno?: readonly ErrnoWord[];
  readonly places?: readonly Place[];
  readonly meaning: string;
  readonly causes: readonly Cause[];
}
