/** The differences between two databases by path, in the order of paths. */
import { readAtRest } from "./read-at-rest.ts";
import { salvage, type SalvagedItem } from "./salvage.ts";

export interface PathDifference {
  /** `touched`: only version, writer or time. */
  readonly kind: "added" | "removed" | "changed" | "touched";
  /** Latin1. */
  readonly path: string;
  /** `11 -> 12 bytes`, `version 7 -> 9`; may be "". */
  readonly detail: string;
}

export interface Comparison {
  readonly differences: readonly PathDifference[];
  /** Problems of either file: rows that could not be read may be missing in the comparison. */
  readonly problems: readonly string[];
}

type Items = ReadonlyMap<string, SalvagedItem>;

function load(file: string, problems: string[]): Items | string {
  const { items, database } = salvage(file, readAtRest);
  const { problem } = database;
  if (problem !== undefined && items.length === 0) return `${file}: ${problem.text}`;
  if (problem !== undefined) problems.push(`${file}: ${problem.text}`);
  return new Map(items.map((item) => [item.path.join("/"), item]));
}

const size = (item: SalvagedItem): number => item.row.omitted ?? item.row.data.length;

function difference(
  path: string,
  a: SalvagedItem,
  b: SalvagedItem,
  times: boolean,
): PathDifference | undefined {
  if (a.kind !== b.kind) return { kind: "changed", path, detail: `${a.kind} -> ${b.kind}` };
  const isFile = a.kind === "file";
  if (isFile && Buffer.compare(a.row.data, b.row.data) !== 0) {
    const detail = size(a) === size(b) ? "same size" : `${size(a)} -> ${size(b)} bytes`;
    return { kind: "changed", path, detail };
  }
  if (!times) return undefined;
  const fields = (["version", "writer", "mtime"] as const).filter(
    (field) => a.row[field] !== b.row[field],
  );
  if (fields.length === 0) return undefined;
  const detail = fields.map((field) => `${field} ${a.row[field]} -> ${b.row[field]}`).join(", ");
  return { kind: "touched", path, detail };
}

/** Compares two databases; a text says which of them cannot be read. */
export function compareDatabases(
  first: string,
  second: string,
  options: { readonly times: boolean },
): Comparison | string {
  const problems: string[] = [];
  const a = load(first, problems);
  if (typeof a === "string") return a;
  const b = load(second, problems);
  if (typeof b === "string") return b;
  const differences: PathDifference[] = [];
  for (const path of [...new Set([...a.keys(), ...b.keys()])].toSorted()) {
    const [before, after] = [a.get(path), b.get(path)];
    if (before === undefined || after === undefined) {
      const item = before ?? after;
      const detail = item?.kind === "file" ? `${size(item)} bytes` : "directory";
      differences.push({ kind: before === undefined ? "added" : "removed", path, detail });
      continue;
    }
    const found = difference(path, before, after, options.times);
    if (found !== undefined) differences.push(found);
  }
  return { differences, problems };
}
