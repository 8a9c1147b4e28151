/**
 * `explain`: from a pasted line to what it means. Offline and tolerant: whatever stands around the
 * known words (time stamps, program names, quotes, colours, line breaks of a mail) is ignored.
 */
import { stripVTControlCharacters } from "node:util";
import { requestOf as cfsRequest } from "../../pmxcfs/requests/table.ts";
import { type CodeName, CODES, isCode } from "./catalog/codes.ts";
import type { Cause, ErrorText } from "./catalog/error-text.ts";
import { CLIENT_TEXTS } from "./catalog/client-texts.ts";
import { SERVER_TEXTS } from "./catalog/server-texts.ts";

export const TEXTS: readonly ErrorText[] = [...CLIENT_TEXTS, ...SERVER_TEXTS];

/** A message of the server's own says more than the libc words at its end. */
const BY_DETAIL: readonly ErrorText[] = [...SERVER_TEXTS, ...CLIENT_TEXTS];

export interface Explanation {
  readonly text: ErrorText;
  /** Those the pasted line points to first. */
  readonly causes: readonly Cause[];
  /** The request the line is about, when it says so. */
  readonly request: string | undefined;
}

/** In the form the patterns are written for. */
function normalize(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll(/[\u2018\u2019\u201C\u201D"`]/g, "'")
    .replaceAll(/\s+/g, " ")
    .trim()
    .toLowerCase();
}

/** `ipcc_send_rec[4]` -> `SET_STATUS`. */
function requestOf(line: string): string | undefined {
  const id = Number(/ipcc_send_rec ?\[(\d+)\]/.exec(line)?.[1] ?? Number.NaN);
  return cfsRequest(id)?.name;
}

function inOrder(causes: readonly Cause[], line: string): Cause[] {
  const pointed = causes.filter(({ signs }) => signs?.test(line) === true);
  return [...pointed, ...causes.filter((cause) => !pointed.includes(cause))];
}

/** What is known about these lines; each text once, the most telling first; empty when nothing. */
export function explain(pasted: string): Explanation[] {
  const whole = normalize(pasted);
  const request = requestOf(whole);
  const found = BY_DETAIL.filter(({ patterns }) => patterns.some((pattern) => pattern.test(whole)));
  return found.map((text) => ({ text, causes: inOrder(text.causes, whole), request }));
}

/** The code named by the words, in whatever case; undefined when they are none. */
export function codeNamed(words: string): CodeName | undefined {
  const name = words.trim().toUpperCase().replaceAll("-", "_");
  return isCode(name) ? name : undefined;
}

/** The texts a person sees because of `code`. */
export function textsOf(code: CodeName): ErrorText[] {
  const row = CODES[code];
  const ids: readonly string[] = "seen" in row ? row.seen : [];
  return TEXTS.filter(({ id }) => ids.includes(id));
}
