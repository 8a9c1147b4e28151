// Recordings of a cluster, one file per scenario: the messages that each node multicast and was
// delivered, in their order, and the databases before and after. Bytes are hex, or
// {hex, fill, count}. A file may be compressed.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export type Hex = string | { readonly hex: string; readonly fill: number; readonly count: number };

/** inode, parent, version, writer, mtime, type, name (latin1), data (null: SQL NULL), sha256. */
export type TraceRow = readonly [
  number,
  number,
  number,
  number,
  number,
  number,
  string,
  Hex | null,
  string,
];

export interface Database {
  readonly version: number;
  readonly checksum: string;
  /** The body of a STATE. */
  readonly index: string;
  readonly rows: readonly TraceRow[];
}

export type GroupName = "dcdb" | "status";
type Address = readonly [nodeid: number, pid: number, reason?: number];

export interface TraceEvent {
  readonly us: number;
  readonly node: number;
  readonly event: string;
  readonly group?: GroupName;
  readonly message?: string;
  readonly result?: number;
  readonly pid?: number;
  readonly from?: readonly [number, number];
  readonly members?: readonly Address[];
  readonly left?: readonly Address[];
  readonly joined?: readonly Address[];
  readonly quorate?: number;
}

export interface Trace {
  readonly scenario: string;
  readonly nodes: readonly { readonly id: number; readonly name: string; readonly ip: string }[];
  readonly before: Readonly<Record<string, Database>>;
  readonly after: Readonly<Record<string, Database | string>>;
  readonly messages: Readonly<Record<string, { readonly hex: Hex; readonly what: string }>>;
  readonly events: readonly TraceEvent[];
}

export function unhex(hex: Hex): Buffer {
  if (typeof hex === "string") return Buffer.from(hex, "hex");
  return Buffer.concat([Buffer.from(hex.hex, "hex"), Buffer.alloc(hex.count, hex.fill)]);
}

/** The traces of a folder, by file name. */
export function* readTraces(directory: string): Generator<[name: string, trace: Trace]> {
  for (const file of readdirSync(directory).toSorted()) {
    const [, name, compressed] = /^(.*)\.json(\.gz)?$/.exec(file) ?? [];
    if (name === undefined) continue;
    const bytes = readFileSync(join(directory, file));
    const text = compressed === undefined ? bytes : Buffer.from(Bun.gunzipSync(bytes));
    yield [name, JSON.parse(text.toString("utf8")) as Trace];
  }
}
