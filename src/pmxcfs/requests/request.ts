/**
 * The shape of a request: one row of the table in table.ts holds everything the program knows of
 * it. The server runs it, the client and `call` encode it and read its answer, `trace` and the log
 * describe it, recordings redact it, `--check` and `bench` send it, docs/operations.md lists it.
 */
import type { QbFailure } from "../../client/failure.ts";
import type { Errno } from "../../base/errno.ts";
import type { Caller } from "../../ipc/handler.ts";
import type { Replicator } from "../replication/replicator.ts";
import type { ClusterLog } from "../state/cluster-log.ts";
import type { Guests } from "../state/guests.ts";
import type { Memdb } from "../state/memdb.ts";
import type { Members } from "../state/members.ts";
import type { Rrd } from "../state/rrd-values.ts";
import type { Status } from "../state/status.ts";
import type { Tokens } from "../state/tokens.ts";
import type { Span } from "../../wire/struct.ts";
import type { FsVersionText } from "./fs-version.ts";

/** What the requests read and change. Changes go through the replicator, reads do not. */
export interface Services {
  readonly memdb: Memdb;
  readonly fsVersion: FsVersionText;
  readonly guests: Guests;
  readonly members: Members;
  readonly tokens: Tokens;
  readonly status: Pick<Status, "get">;
  readonly clusterLog: Pick<ClusterLog, "dump">;
  readonly rrd: Rrd;
  readonly replicator: Pick<Replicator, "setStatus" | "log">;
}

/** A body, answered with error 0, or an errno, answered without a body. */
export type CfsReply = Uint8Array | Errno;

/** The description of a request: names and values, without secrets. */
export type Description = Readonly<Record<string, string | number | readonly string[]>>;

/** One argument of a request, as `call` takes it. */
export interface Parameter {
  /**
   * text, number, names (one or more texts); path: a file below /etc/pve; value: bytes from an
   * option or a file, or none; secret: a text that may come from a file.
   */
  readonly kind: "text" | "number" | "names" | "path" | "value" | "secret";
  readonly description: string;
  /** Given without an option's name. */
  readonly positional?: boolean;
  readonly required?: boolean;
  readonly default?: string | number;
  /** The default in words, where the server decides it. */
  readonly defaultText?: string;
  /** Of a number. */
  readonly max?: number;
}

/** How an answer is read and shown. */
export interface AnswerFormat<R> {
  /** The value in a body that came with error 0; a failure of kind `garbage` when it has none. */
  read(body: Buffer): R | QbFailure;
  /** For people; bytes are written as they are. */
  text(value: R): string | Uint8Array;
  /** For `--json`; the value itself unless given. */
  json?(value: R): unknown;
}

/** What a recording leaves out. Both return the same object when nothing is secret. */
export interface Redaction {
  body?(body: Buffer): Buffer;
  /** `reply` came with error 0 for `body`. */
  reply?(body: Buffer, reply: Uint8Array): Uint8Array;
}

/** How `--check` sends a request that changes nothing, and what a healthy server answers. */
export interface ProbeSpec<A> {
  readonly arguments: A;
  /** JSON, text of at least a byte, or anything. */
  readonly reply: "json" | "text" | "any";
  /** Errors that are right answers. */
  readonly mayFail?: readonly Errno[];
  /** Success would be wrong. */
  readonly mustFail?: true;
}

/** One of the twelve requests: `A` are its arguments, `R` is what its answer means. */
export interface CfsRequest<A, R> {
  readonly id: number;
  /** The C name without its prefix: GET_CONFIG. */
  readonly name: string;
  readonly summary: string;
  /** Paragraphs for `call NAME --help`. */
  readonly details?: readonly string[];
  /** Arguments for `call NAME`, and what that asks. */
  readonly example: readonly [words: string, meaning: string];
  /** `write`: a read-only caller gets EPERM before anything else is checked. */
  readonly access: "read" | "write";
  /** Bodies of fewer or more bytes get EINVAL. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /** The fixed part of the body: its struct, and what follows it. */
  readonly layout?: { readonly size: number; readonly offset: Readonly<Record<string, number>> };
  readonly tail?: string;
  /** For the manual: the server's checks in their order, then the answer. */
  readonly checks: readonly string[];
  readonly result: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** The body; a failure of kind `size` says what the protocol cannot carry. */
  encode(given: A): Buffer | QbFailure;
  /**
   * The arguments in a body of at least the layout's size, without secrets. The span may be only
   * the beginning of it; `bodyBytes` is the size of all.
   */
  describe(span: Span, bodyBytes: number): Description;
  readonly answer: AnswerFormat<R>;
  /** What an errno means for this request. */
  readonly errors: Readonly<Partial<Record<Errno, string>>>;
  readonly redact?: Redaction;
  readonly probe?: ProbeSpec<A>;
  /** Answers on the server. The body is valid during the call only. */
  run(services: Services, body: Span, caller: Caller): CfsReply;
  /** The errno when the header claims less than a header (handler.ts); EINVAL unless given. */
  malformed?(services: Services, body: Span): Errno;
}

/** A row under its literal id and name. */
export type Row<Id extends number, Name extends string, A, R> = CfsRequest<A, R> & {
  readonly id: Id;
  readonly name: Name;
};

/** Declares a row; the types of its id and name are kept. */
export function defineRequest<const Id extends number, const Name extends string, A, R>(
  row: Row<Id, Name, A, R>,
): Row<Id, Name, A, R> {
  return row;
}
