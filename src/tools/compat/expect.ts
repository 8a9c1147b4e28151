/** Compares an answer with the one that a case expects, and words the difference. */
import { errnoName } from "../../base/errno.ts";
import { jsonText } from "../../base/escape.ts";
import { bytesOf, checksum } from "./body.ts";
import type { Expect } from "./case.ts";
import type { Answer } from "./protocol.ts";

/** In expected JSON: any value of this type. */
export function any(type: "number" | "string" | "object" | "array"): unknown {
  return { "#": type };
}

/** In expected JSON: an object without this key. */
export const ABSENT: unknown = { "#": "undefined" };

/** `error -2 (ENOENT)`, `5 bytes "hello"`, `nothing: EAGAIN`: an answer for a report. */
export function describe(answer: Answer): string {
  if (answer.res < 0) return `nothing: ${errnoName(answer.res)}`;
  if (answer.error !== undefined && answer.error !== 0) return `error ${errnoName(answer.error)}`;
  if (answer.length === undefined) return "success";
  if (answer.body === undefined) return `${answer.length} bytes (checksum ${answer.sum})`;
  const text = Buffer.from(answer.body, "hex").toString("latin1");
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return `${answer.length} bytes ${jsonText(shown)}`;
}

/** Names of JSON fields whose numbers differ between servers or over time. */
const MOMENTARY = /^(?:starttime|time|pid|uid|version|clinfo|vmlist|\w+list)$/;

/** A longer text that is not JSON is compared by its checksum. */
const STEADY_CHARS = 16_384;

/** A value with sorted keys and with these numbers masked, so that two servers can be compared. */
function steadyValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(steadyValue);
  if (typeof value !== "object" || value === null) return value;
  const fields = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(
    fields.map(([key, item]: [string, unknown]) => {
      const isMomentary = typeof item === "number" && MOMENTARY.test(key);
      return [key, isMomentary ? "N" : steadyValue(item)];
    }),
  );
}

/**
 * An answer as text for comparing two services: JSON without start and log times, pids, counters
 * and the order of guests; everything else byte for byte.
 */
export function steady(answer: Answer): string {
  if (answer.body === undefined || answer.error !== 0) return describe(answer);
  const text = Buffer.from(answer.body, "hex").toString("latin1");
  try {
    return JSON.stringify(steadyValue(JSON.parse(text)));
  } catch {
    const shown = text.length > STEADY_CHARS ? `checksum ${answer.sum}` : JSON.stringify(text);
    return `${answer.length} bytes ${shown}`;
  }
}

/**
 * The fault of an answer that is wrong for every request: another id, a size that is not that of
 * the chunk, or a body with an error. Undefined if there is none.
 */
export function malformed(answer: Answer, id: number): string | undefined {
  if (answer.id !== id) return `the answer has id ${answer.id}, not ${id}`;
  if (answer.size !== answer.res) {
    return `the answer's header says ${answer.size} bytes, ${answer.res} arrived`;
  }
  if (answer.error !== undefined && answer.error !== 0 && answer.length !== 0) {
    return `an error with a body of ${answer.length} bytes`;
  }
  return undefined;
}

/** Undefined if `answer` is as expected, else the expected answer in words. */
export function mismatch(expect: Expect, answer: Answer): string | undefined {
  if (typeof expect === "object" && "fails" in expect) {
    const allowed = typeof expect.fails === "number" ? [expect.fails] : expect.fails;
    const names = allowed.map(errnoName).join(" or ");
    return allowed.some((errno) => errno === answer.res) ? undefined : `nothing but ${names}`;
  }
  if (answer.res < 0) return "an answer";
  if (expect === "any answer") return undefined;
  if ("errno" in expect) {
    return answer.error === expect.errno ? undefined : `error ${errnoName(expect.errno)}`;
  }
  if (answer.error !== 0) return "no error";
  if ("body" in expect) return wrongBody(bytesOf(expect.body), answer);
  const text = Buffer.from(answer.body ?? "", "hex").toString("utf8");
  if ("json" in expect) return wrongJson(expect.json, text);
  if ("starts" in expect) {
    return text.startsWith(expect.starts) ? undefined : `text that begins ${expect.starts}`;
  }
  if ("matches" in expect) {
    return expect.matches.test(text) ? undefined : `text that matches ${expect.matches.source}`;
  }
  const lines = text.replace(/\0$/, "").split("\n");
  const missing = expect.lines.find((line) => !lines.includes(line));
  return missing === undefined ? undefined : `the line ${jsonText(missing)}`;
}

function wrongBody(wanted: Buffer, answer: Answer): string | undefined {
  const same = answer.length === wanted.byteLength && answer.sum === checksum(wanted);
  if (same) return undefined;
  const body = wanted.byteLength <= 100 ? { body: wanted.toString("hex") } : {};
  const length = wanted.byteLength;
  const whole = describe({ res: 0, error: 0, length, sum: checksum(wanted), ...body });
  if (answer.body === undefined) return whole;
  return `${whole}, ${firstDifference(wanted, Buffer.from(answer.body, "hex"))}`;
}

/** Number of bytes shown, from the first difference on. */
const DIFFERING_BYTES = 16;

/** `which differ from byte 5 on: 61 62 "ab" instead of 61 63 "ac"`. */
function firstDifference(wanted: Buffer, given: Buffer): string {
  let at = 0;
  while (at < wanted.length && wanted[at] === given[at]) at++;
  const part = (bytes: Buffer): string => {
    const shown = bytes.subarray(at, at + DIFFERING_BYTES);
    if (shown.length === 0) return "the end";
    const hex = shown.toString("hex").replaceAll(/..(?=.)/g, "$& ");
    return `${hex} ${jsonText(shown.toString("latin1"))}`;
  };
  return `which differs from byte ${at} on: ${part(wanted)} expected, ${part(given)} received`;
}

function wrongJson(wanted: unknown, text: string): string | undefined {
  try {
    return differs(wanted, JSON.parse(text), "");
  } catch {
    return "valid JSON";
  }
}

function differs(wanted: unknown, given: unknown, at: string): string | undefined {
  const where = at === "" ? "" : ` at ${at}`;
  if (Array.isArray(wanted)) {
    const count = `an array of ${wanted.length}${where}`;
    if (!Array.isArray(given) || given.length !== wanted.length) return count;
    return firstOf(wanted.map((item, index) => differs(item, given[index], `${at}[${index}]`)));
  }
  if (typeof wanted !== "object" || wanted === null) {
    return wanted === given ? undefined : `${JSON.stringify(wanted)}${where}`;
  }
  if ("#" in wanted) {
    const type = Array.isArray(given) ? "array" : typeof given;
    if (type === wanted["#"]) return undefined;
    return wanted === ABSENT ? `nothing${where}` : `a value of type ${String(wanted["#"])}${where}`;
  }
  if (typeof given !== "object" || given === null) return `an object${where}`;
  const fields = given as Record<string, unknown>;
  return firstOf(
    Object.entries(wanted).map(([key, value]) => differs(value, fields[key], `${at}.${key}`)),
  );
}

function firstOf(problems: readonly (string | undefined)[]): string | undefined {
  return problems.find((problem) => problem !== undefined);
}
