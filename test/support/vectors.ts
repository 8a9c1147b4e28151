/**
 * The recorded requests and answers of the C server (test/golden), and the comparison of an answer
 * with a recording, for tests in the same process and for tests with a client.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { errnoName } from "../../src/base/errno.ts";

export const CHECKS = [
  "bytes",
  "json",
  "lines",
  "errno",
  "sha256",
  "validjson",
  "refuse",
  "accept",
  "recv",
  "skip",
] as const;

export type Check = (typeof CHECKS)[number];

/** How an answer is compared; `skip`: any answer passes. */
export interface Expectation {
  readonly check: Check;
  /** errno, refuse: the negative errno. */
  readonly error?: number;
  /** recv: what the client's receive call returns. */
  readonly recv?: number;
  /** json: keys left out, at any depth; a dotted one is a path from the root, `*` any key. */
  readonly ignore?: readonly string[];
  /** The reason why our answer differs from C's. */
  readonly deviation?: string;
}

export interface Vector {
  readonly name: string;
  readonly id: number;
  readonly op: string;
  readonly uid: number;
  readonly gid: number;
  readonly body: Buffer;
  /** The size in the header, if it is not 16 + body. */
  readonly headerSize: number | undefined;
  /**
   * The message size that the client requests in its handshake, if not the default of qb-client.
   */
  readonly maxMessageBytes: number | undefined;
  /** The size of the client's receive buffer, if it is smaller than the ring. */
  readonly receiveBytes: number | undefined;
  /** Vectors with the same name are sent on one connection, in their order. */
  readonly connection: string | undefined;
  readonly note: string | undefined;
  readonly expect: Expectation;
  /** C's answer; without error and bytes if none arrived. */
  readonly recorded: Recorded;
}

export interface Recorded {
  readonly error?: number;
  readonly hex?: string;
  readonly sha256?: string;
  readonly len?: number;
}

/** The result at the client. Numbers are negative errnos; 0 is success. */
export type Answer =
  | { readonly kind: "reply"; readonly error: number; readonly body: Uint8Array }
  | { readonly kind: "recv"; readonly errno: number }
  | { readonly kind: "refused"; readonly errno: number };

/** One entry of the tree; directories have no content. Paths are latin1, without a final slash. */
export interface TreeEntry {
  readonly path: string;
  readonly content: Buffer | undefined;
}

interface RawVector {
  name: string;
  id: number;
  op: string;
  uid: number;
  gid: number;
  body_hex: string;
  header_size_field?: number;
  max_msg_size?: number;
  recv_buffer?: number;
  conn?: string;
  note?: string;
  expect: Expectation;
  c: Recorded;
}

function golden(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../golden/${name}`, import.meta.url), "utf8"));
}

/** Every vector, in the order in which they must be replayed. */
export function loadVectors(): Vector[] {
  return (golden("vectors.json") as RawVector[]).map((raw) => ({
    name: raw.name,
    id: raw.id,
    op: raw.op,
    uid: raw.uid,
    gid: raw.gid,
    body: Buffer.from(raw.body_hex, "hex"),
    headerSize: raw.header_size_field,
    maxMessageBytes: raw.max_msg_size,
    receiveBytes: raw.recv_buffer,
    connection: raw.conn,
    note: raw.note,
    expect: raw.expect,
    recorded: raw.c,
  }));
}

/** The file tree with which the vectors were recorded, in the order of creation. */
export function loadTree(): TreeEntry[] {
  return (golden("tree.json") as { path: string; content: string | null }[]).map((raw) => ({
    path: Buffer.from(raw.path.replace(/\/$/, ""), "utf8").toString("latin1"),
    content: raw.content === null ? undefined : Buffer.from(raw.content, "base64"),
  }));
}

/** The vectors by their kind of check, in the order of CHECKS; kinds without any are left out. */
export function groupByCheck(vectors: readonly Vector[]): Map<Check, Vector[]> {
  const groups = new Map<Check, Vector[]>();
  for (const check of CHECKS) {
    const group = vectors.filter((vector) => vector.expect.check === check);
    if (group.length > 0) groups.set(check, group);
  }
  return groups;
}

/** Undefined if the answer passes the vector's check; else the difference, with both answers. */
export function compare(vector: Vector, answer: Answer): string | undefined {
  const wrong = DIFFERENCE[vector.expect.check](vector, answer);
  if (wrong === undefined) return undefined;
  return [
    `${vector.name} (${vector.op} ${vector.id}, uid ${vector.uid} gid ${vector.gid}): ${wrong}`,
    `  request  ${show(vector.body)}`,
    `  expected ${JSON.stringify(vector.expect)}`,
    `  C said   ${showRecorded(vector.recorded)}`,
    `  we said  ${showAnswer(answer)}`,
  ].join("\n");
}

type Difference = string | undefined;

/** The difference that each kind of check finds. */
const DIFFERENCE: Record<Check, (vector: Vector, answer: Answer) => Difference> = {
  skip: (_, answer) => (answer.kind === "reply" ? undefined : "no answer arrived"),
  accept: (_, answer) => (answer.kind === "refused" ? "the connection was refused" : undefined),
  refuse: ({ expect }, answer) =>
    answer.kind === "refused"
      ? errnoDifference(expect.error, answer.errno)
      : "the connection was not refused",
  recv: ({ expect }, answer) =>
    answer.kind === "recv"
      ? errnoDifference(expect.recv, answer.errno)
      : "the client was to receive nothing",
  errno({ expect }, answer) {
    if (answer.kind !== "reply") return "no answer arrived";
    if (answer.body.length > 0) return "an error must have no body";
    return errnoDifference(expect.error, answer.error);
  },
  bytes: inBody((body, { expected }) =>
    expected.equals(body) ? undefined : firstDifference(expected, body),
  ),
  sha256: inBody((body, { vector }) => {
    const digest = createHash("sha256").update(body).digest("hex");
    return digest === vector.recorded.sha256 ? undefined : `sha256 ${digest}`;
  }),
  lines: inBody((body, { expected }) => {
    if (body.at(-1) !== 0) return "the last byte is not NUL";
    return Bun.deepEquals(lines(expected), lines(body)) ? undefined : "other lines";
  }),
  validjson: inBody((body) => (parse(body) === undefined ? "not valid JSON" : undefined)),
  json: inBody((body, { expected, vector }) => {
    const [ours, theirs] = [parse(body), parse(expected)];
    if (ours === undefined) return "not valid JSON";
    if (theirs === undefined) return "C's own answer is not valid JSON";
    const ignore = (vector.expect.ignore ?? []).map((key) => key.split("."));
    const same = Bun.deepEquals(without(ours.value, ignore), without(theirs.value, ignore), true);
    return same ? undefined : "another JSON value";
  }),
};

/** A check of the body of a reply, whose error must be that of C's answer. */
function inBody(check: (body: Uint8Array, c: { expected: Buffer; vector: Vector }) => Difference) {
  return (vector: Vector, answer: Answer): Difference => {
    if (answer.kind !== "reply") return "no answer arrived";
    const expected = Buffer.from(vector.recorded.hex ?? "", "hex");
    return (
      errnoDifference(vector.recorded.error, answer.error) ??
      check(answer.body, { expected, vector })
    );
  };
}

function errnoDifference(expected: number | undefined, actual: number): string | undefined {
  if (expected === undefined || expected === actual) return undefined;
  return `error ${actual} instead of ${expected}`;
}

function firstDifference(expected: Uint8Array, actual: Uint8Array): string {
  const at = expected.findIndex((byte, index) => byte !== actual[index]);
  const offset = at === -1 ? expected.length : at;
  return `${actual.length} bytes instead of ${expected.length}, the first other one at ${offset}`;
}

/** The sorted lines, without the NUL at the end. */
function lines(body: Uint8Array): string[] {
  return Buffer.from(body).toString("latin1").replace(/\0$/, "").split("\n").toSorted();
}

/** The JSON value in a body; undefined if it is not valid JSON in valid UTF-8. */
function parse(body: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) };
  } catch {
    return undefined;
  }
}

/** `value` without the ignored keys. */
function without(
  value: unknown,
  ignore: readonly string[][],
  path: readonly string[] = [],
): unknown {
  if (Array.isArray(value)) {
    return value.map((item, index) => without(item, ignore, [...path, String(index)]));
  }
  if (typeof value !== "object" || value === null) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const at = [...path, key];
    if (!ignore.some((pattern) => ignored(at, pattern))) kept[key] = without(item, ignore, at);
  }
  return kept;
}

function ignored(path: readonly string[], pattern: readonly string[]): boolean {
  if (pattern.length === 1) return path.at(-1) === pattern[0];
  return (
    path.length === pattern.length &&
    pattern.every((part, index) => part === "*" || part === path[index])
  );
}

function show(bytes: Uint8Array): string {
  const text = JSON.stringify(Buffer.from(bytes.subarray(0, 400)).toString("latin1"));
  return bytes.length > 400 ? `${text}... (${bytes.length} bytes)` : text;
}

function showRecorded(recorded: Recorded): string {
  if (recorded.error === undefined) return "nothing that arrived";
  if (recorded.error !== 0) return `${errnoName(recorded.error)} (${recorded.error})`;
  if (recorded.hex === undefined) return `${recorded.len} bytes of sha256 ${recorded.sha256}`;
  return show(Buffer.from(recorded.hex, "hex"));
}

function showAnswer(answer: Answer): string {
  if (answer.kind !== "reply") return `${answer.kind} ${errnoName(answer.errno)}`;
  if (answer.error !== 0) return `${errnoName(answer.error)} (${answer.error})`;
  return show(answer.body);
}
