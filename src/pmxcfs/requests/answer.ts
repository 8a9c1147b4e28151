/** How answers are read and shown: JSON, bytes, or success alone. */
import { escapeText } from "../../base/escape.ts";
import { alignColumns } from "../../base/table.ts";
import { garbage, type QbFailure } from "../../client/failure.ts";
import type { AnswerFormat } from "./request.ts";

/** A JSON object before its fields are looked at. */
export type Json = Readonly<Record<string, unknown>>;

/** An answer in JSON: `what` names it in failures, `read` picks its fields. */
export function jsonAnswer<R>(
  what: string,
  read: (value: Json) => R,
  text: (value: R) => string,
): AnswerFormat<R> {
  return {
    read: (body) => parsed(what, body, read),
    text,
  };
}

/** The C server emits invalid JSON for quotes in tags: a failure, which is not repaired here. */
function parsed<R>(what: string, body: Buffer, read: (value: Json) => R): R | QbFailure {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    if (typeof value === "object" && value !== null) return read(value as Json);
  } catch {
    // Reported by the line below; `call --hex` shows where the JSON is broken.
  }
  return garbage(`the ${what} the server sent is not the JSON it should be`);
}

/** JSON cannot carry all bytes: text when they are UTF-8, else base64. */
export function carried(body: Buffer): { text: string } | { base64: string } {
  const text = body.toString("utf8");
  return Buffer.from(text, "utf8").equals(body) ? { text } : { base64: body.toString("base64") };
}

/** Files and status values: their bytes, unchanged. */
export const bytesAnswer: AnswerFormat<Buffer> = {
  read: (body) => body,
  text: (body) => body,
  json: carried,
};

/** Requests that answer nothing but success. */
export const doneAnswer: AnswerFormat<true> = { read: () => true, text: () => "done\n" };

/** Aligned lines, each with its newline; cells are texts of a server and may contain any bytes. */
export function table(rows: readonly (readonly string[])[]): string {
  return alignColumns(rows.map((row) => row.map(escapeText)))
    .map((line) => `${line}\n`)
    .join("");
}

/** Unix seconds as ISO 8601. */
export function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
