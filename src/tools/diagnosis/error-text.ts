/**
 * The shape of an error text: a line that people see and paste into `explain`. Its causes name
 * codes, so that `explain` and `--check` give the same reasons and remedies.
 */
import type { CodeName } from "./codes.ts";
import type strerror from "./strerror.json";

/** What strerror(3) names, by symbol; UNKNOWN is its "Unknown error". */
export type ErrnoWord = keyof typeof strerror;

/**
 * What a line with a libc text must be about before that text says anything: a request of the
 * IPC (or nothing at all: the text stands alone), /etc/pve, /dev/shm, the database.
 */
export type Place = "ipc" | "pve" | "shm" | "database";

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
  /** In a log that has its cause as well, a symptom comes after it; a normal line comes last. */
  readonly kind?: "cause" | "symptom" | "normal";
  /** Found in one line, whatever stands around it; lines are in lower case, quotes are `'`. */
  readonly patterns?: readonly RegExp[];
  /** Libc texts, in any language, in a line that is about one of `places`. */
  readonly errno?: readonly ErrnoWord[];
  readonly places?: readonly Place[];
  readonly meaning: string;
  readonly causes: readonly Cause[];
}
