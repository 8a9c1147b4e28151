/** Answer formats: JSON, bytes, or success only. */
import { escapeText } from "../../base/escape.ts";
import { alignColumns } from "../../base/table.ts";
import { garbage, type QbFailure } from "../../client/failure.ts";
import type { AnswerFormat } from "./request.ts";

/** A JSON object whose fields are not checked yet. */
export type Json = Readonly<Record<string, unknown>>;

/** A JSON answer: `what` is its name in error texts, `read` converts the parsed object. */
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

/** Parses an answer. The C server's invalid JSON (quotes in tags) is a failure, not repaired. */
function parsed<R>(what: string, body: Buffer, read: (value: Json) => R): R | QbFailure {
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    if (typeof value === "object" && value !== null) return read(value as Json);
  } catch {
    // Reported below; `call --hex` shows the bytes.
  }
  return garbage(`the ${what} the server sent is not the JSON it should be`);
}

/** Bytes for `--json`: as text if they are UTF-8, else as base64. */
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

/** For requests whose answer is only success. */
export const doneAnswer: AnswerFormat<true> = { read: () => true, text: () => "done\n" };

/** Aligned lines, each with a newline. Cells come from a server, so control bytes are escaped. */
export function table(rows: readonly (readonly string[])[]): string {
  return alignColumns(rows.map((row) => row.map(escapeText)))
    .map((line) => `${line}\n`)
    .join("");
}

/** Unix seconds as ISO 8601. */
export function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
