/**
 * Requests as text: their names on the command line, descriptions without secrets for `trace` and
 * the log, and the meaning of an errno for a request.
 */
import { Errno, errnoName, errnoText } from "../../base/errno.ts";
import { jsonText } from "../../base/escape.ts";
import { spanOf } from "../../wire/struct.ts";
import type { Description } from "./request.ts";
import { type AnyRequest, requestOf, REQUESTS } from "./table.ts";

/** The name on the command line: `get-config` for GET_CONFIG. */
export function wordOf({ name }: Pick<AnyRequest, "name">): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Other names of a request: `config` for `get-config`. */
export function aliasesOf(request: Pick<AnyRequest, "name">): string[] {
  const word = wordOf(request);
  return word.startsWith("get-") ? [word.slice("get-".length)] : [];
}

/** Message ids by name, without aliases. */
export const REQUEST_IDS: ReadonlyMap<string, number> = new Map(
  REQUESTS.map((request) => [wordOf(request), request.id]),
);

const BY_WORD = new Map(
  REQUESTS.flatMap((request) =>
    [wordOf(request), ...aliasesOf(request)].map((word): [string, AnyRequest] => [word, request]),
  ),
);

/** The request with this name, alias or C name. */
export function requestNamed(word: string): AnyRequest | undefined {
  return BY_WORD.get(word.toLowerCase().replaceAll("_", "-"));
}

/** `get-config` for 6; `request-99` for a number without a request. */
export function requestName(id: number): string {
  const request = requestOf(id);
  return request === undefined ? `request-${id}` : wordOf(request);
}

/**
 * The arguments of a request, without secrets; only the body's size if the id is unknown or the
 * body is malformed. Only the first `mostBytes` (at least 528) of a body are read.
 */
export function describe(id: number, body: Buffer, mostBytes = Infinity): Description {
  const request = requestOf(id);
  const { byteLength } = body;
  const least = Math.max(request?.layout?.size ?? 0, request?.tail === undefined ? 0 : 1);
  if (request !== undefined && byteLength > 0 && byteLength >= least && request.maxBytes > 0) {
    return request.describe(spanOf(body.subarray(0, mostBytes)), byteLength);
  }
  return byteLength === 0 ? {} : { body_bytes: byteLength };
}

/** A description as `path="storage.cfg"`, safe for a terminal. */
export function descriptionText(given: Description): string {
  return Object.entries(given)
    .map(([name, value]) => `${name}=${jsonText(value)}`)
    .join(" ");
}

/** Meanings of errnos that any request may get. */
const GENERAL: Readonly<Partial<Record<number, string>>> = {
  [Errno.EPERM]: "this caller may only read (as www-data may)",
  [Errno.EINVAL]: "the request is malformed",
  [Errno.ECHRNG]: "the server has no such request",
  [Errno.EMSGSIZE]: "the answer does not fit the connection: ask for more with --message-size",
  [Errno.EACCES]: "the server could not give its files to this user",
};

/** `ENOENT (No such file or directory): no such guest`. */
export function errorMeaning(id: number, error: number): string {
  const meaning = requestOf(id)?.errors[error as Errno] ?? GENERAL[error];
  return `${errnoName(error)} (${errnoText(error)})${meaning === undefined ? "" : `: ${meaning}`}`;
}

function shellWord(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/** The words after `pmxcfs-ipc call` that send a request with these arguments. */
export function callWords(request: AnyRequest, given: Readonly<Record<string, unknown>>): string {
  const options: string[] = [];
  const operands: string[] = [];
  for (const [key, { positional = false }] of Object.entries(request.parameters)) {
    const value = given[key];
    if (value === undefined) continue;
    const words = (Array.isArray(value) ? value : [value]).map((word) => shellWord(String(word)));
    if (positional) operands.push(...words);
    else options.push(`--${key}`, ...words);
  }
  return [wordOf(request), ...options, ...operands].join(" ");
}
