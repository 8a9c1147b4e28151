/**
 * The shape of an error text: a line that people see and paste into `explain`. Its causes name
 * codes, so that `explain` and `--check` give the same reasons and remedies.
 */
import type { CodeName } from "./codes.ts";
import type strerror from "./strerror.json";

/** A symbol of an errno that strerror(3) has a text for; UNKNOWN is its "Unknown error". */
export type ErrnoWord = keyof typeof strerror;

/**
 * The subject that a line with a libc text must have for the text to count: a request of the IPC
 * (or none: the line is the text alone), /etc/pve, /dev/shm, the database.
 */
export type Place = "ipc" | "pve" | "shm" | "database";

export interface Cause {
  /** What happened, if there is no code for it. */
  readonly text?: string;
  readonly code?: CodeName;
  /** How to recognize this cause. */
  readonly tell: string;
  /** When the pasted line matches, this cause comes first. */
  readonly signs?: RegExp;
}

export interface ErrorText {
  readonly id: string;
  /** The line as it is printed. */
  readonly title: string;
  /** In the answer a symptom comes after the causes of the same log; a normal line comes last. */
  readonly kind?: "cause" | "symptom" | "normal";
  /** Searched for anywhere in a line; lines are in lower case, and quotes are `'`. */
  readonly patterns?: readonly RegExp[];
  /** Libc texts, in any language, in a line that is about one of `places`. */
  readonly errno?: readonly ErrnoWord[];
  readonly places?: readonly Place[];
  readonly meaning: string;
  readonly causes: readonly Cause[];
}
