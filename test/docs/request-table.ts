/** The table of requests in docs/operations.md, from the table in the code; run it to write it. */
import { readFileSync, writeFileSync } from "node:fs";
import { REQUESTS, type AnyRequest } from "../../src/pmxcfs/requests/table.ts";
import { MANUAL } from "./differences.ts";

const HEADER_BYTES = 16;

/** C types by size, which layouts do not name. */
const TYPES: Readonly<Record<number, string>> = { 1: "u8", 4: "u32" };

/** `name` char[256] @16, value @272. */
function bodyText({ layout, tail }: AnyRequest): string {
  const fields = Object.entries(layout?.offset ?? {});
  const words = fields.map(([name, at], index) => {
    const size = (fields[index + 1]?.[1] ?? layout?.size ?? 0) - at;
    return `${name} ${TYPES[size] ?? `char[${size}]`} @${HEADER_BYTES + at}`;
  });
  if (tail !== undefined) words.push(`${tail} @${HEADER_BYTES + (layout?.size ?? 0)}`);
  return words.length === 0 ? "none" : words.join(", ");
}

function row(request: AnyRequest): string {
  const { id, name, access, checks, result } = request;
  const cells = [String(id), name, access, bodyText(request), checks.join("<br>"), result];
  return `| ${cells.join(" | ")} |`;
}

const BEGIN = "<!-- requests: written by bun test/docs/request-table.ts -->";
const END = "<!-- end of requests -->";

/** The manual with the current table of requests. */
export function withRequests(manual: string): string {
  const [before = "", rest = ""] = manual.split(BEGIN);
  const [, after = ""] = rest.split(END);
  const head = "| id | name | access | body | checks | answer |\n| - | - | - | - | - | - |";
  return `${before}${BEGIN}\n\n${head}\n${REQUESTS.map(row).join("\n")}\n\n${END}${after}`;
}

if (import.meta.main) writeFileSync(MANUAL, withRequests(readFileSync(MANUAL, "utf8")));
