/** Whether an answer is what a case expects; what is wrong with it in words when it is not. */
import { errnoName } from "../../base/errno.ts";
import { bytesOf, checksum } from "./body.ts";
import type { Expect } from "./case.ts";
import type { Answer } from "./protocol.ts";

/** In expected JSON: any value of this type. */
export function any(type: "number" | "string" | "object"): unknown {
  return { "#": type };
}

/** `error -2 (ENOENT)`, `5 bytes "hello"`, `nothing: EAGAIN`: an answer for a report. */
export function describe(answer: Answer): string {
  if (answer.res < 0) return `nothing: ${errnoName(answer.res)}`;
  if (answer.error !== undefined && answer.error !== 0) return `error ${errnoName(answer.error)}`;
  if (answer.length === undefined) return "success";
  if (answer.body === undefined) return `${answer.length} bytes (checksum ${answer.sum})`;
  const text = Buffer.from(answer.body, "hex").toString("latin1");
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
  return `${answer.length} bytes ${JSON.stringify(shown)}`;
}

/** What must hold for every answer: its request's id, a true size, no body beside an error. */
export function malformed(answer: Answer, id: number): string | undefined {
  if (answer.id !== id) return `the answer has id ${answer.id}, not ${id}`;
  if (answer.size !== answer.res) {
    return `the answer's header says ${answer.size} bytes, ${answer.res} came`;
  }
  if (answer.error !== undefined && answer.error !== 0 && answer.length !== 0) {
    return `an error with a body of ${answer.length} bytes`;
  }
  return undefined;
}

/** Undefined when `answer` is as expected, else what it should have been. */
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
  const lines = text.replace(/\0$/, "").split("\n");
  const missing = expect.lines.find((line) => !lines.includes(line));
  if (missing !== undefined) return `the line ${JSON.stringify(missing)}`;
  const unwanted = expect.without?.find((line) => lines.includes(line));
  return unwanted === undefined ? undefined : `no line ${JSON.stringify(unwanted)}`;
}

function wrongBody(wanted: Buffer, answer: Answer): string | undefined {
  const same = answer.length === wanted.byteLength && answer.sum === checksum(wanted);
  if (same) return undefined;
  const body = wanted.byteLength <= 100 ? { body: wanted.toString("hex") } : {};
  return describe({ res: 0, error: 0, length: wanted.byteLength, sum: checksum(wanted), ...body });
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
    if (!Array.isArray(given) || given.length < wanted.length) return `an array${where}`;
    return firstOf(wanted.map((item, index) => differs(item, given[index], `${at}[${index}]`)));
  }
  if (typeof wanted !== "object" || wanted === null) {
    return wanted === given ? undefined : `${JSON.stringify(wanted)}${where}`;
  }
  if ("#" in wanted)
    return typeof given === wanted["#"] ? undefined : `a ${String(wanted["#"])}${where}`;
  if (typeof given !== "object" || given === null) return `an object${where}`;
  const fields = given as Record<string, unknown>;
  return firstOf(
    Object.entries(wanted).map(([key, value]) => differs(value, fields[key], `${at}.${key}`)),
  );
}

function firstOf(problems: readonly (string | undefined)[]): string | undefined {
  return problems.find((problem) => problem !== undefined);
}
