/**
 * The type of a row of the table in table.ts, which holds everything about one request: the server
 * runs it, the client and `call` encode it and read its answer, `trace` and the log describe it,
 * recordings redact it, `--check` and `bench` send it, docs/operations.md lists it.
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

/** The services that requests use. Changes go through the replicator, reads do not. */
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

/** An empty body with error 0, sent before the request is carried out. */
export interface Accepted {
  /** Carries the request out (ReplyMessage in ipc/handler.ts); the body is valid until then. */
  readonly afterReply: () => void;
}

/** A body, sent with error 0; an errno, sent without a body; or `Accepted`. */
export type CfsReply = Uint8Array | Errno | Accepted;

/** The description of a request: names and values, without secrets. */
export type Description = Readonly<Record<string, string | number | readonly string[]>>;

/** One argument of a request on the command line of `call`. */
export interface Parameter {
  /**
   * text, number, names (one or more texts); path: a file below /etc/pve; value: bytes from an
   * option or a file, or none; secret: a text that may come from a file.
   */
  readonly kind: "text" | "number" | "names" | "path" | "value" | "secret";
  readonly description: string;
  /** An operand, not an option. */
  readonly positional?: boolean;
  readonly required?: boolean;
  readonly default?: string | number;
  /** The default in words, if the server chooses it. */
  readonly defaultText?: string;
  /** The largest number. */
  readonly max?: number;
}

/** How an answer is decoded and printed. */
export interface AnswerFormat<R> {
  /** Decodes a body that came with error 0; a failure of kind `garbage` if it is not valid. */
  read(body: Buffer): R | QbFailure;
  /** The output without `--json`; bytes are written unchanged. */
  text(value: R): string | Uint8Array;
  /** The output with `--json`; default: the value itself. */
  json?(value: R): unknown;
}

/** Removes secrets for a recording. Both return the same object when nothing is secret. */
export interface Redaction {
  body?(body: Buffer): Buffer;
  /** `reply` came with error 0 for `body`. */
  reply?(body: Buffer, reply: Uint8Array): Uint8Array;
}

/** How `--check` sends a read-only request, and what a healthy server answers. */
export interface ProbeSpec<A> {
  readonly arguments: A;
  /** JSON, text of at least one byte, or anything. */
  readonly reply: "json" | "text" | "any";
  /** Errors that are correct answers. */
  readonly mayFail?: readonly Errno[];
  /** Success would be wrong. */
  readonly mustFail?: true;
}

/** One of the twelve requests: `A` is the type of its arguments, `R` of its decoded answer. */
export interface CfsRequest<A, R> {
  readonly id: number;
  /** The C name without its prefix, such as GET_CONFIG. */
  readonly name: string;
  readonly summary: string;
  /** Paragraphs for `call NAME --help`. */
  readonly details?: readonly string[];
  /** Arguments for `call NAME`, and what that call does. */
  readonly example: readonly [words: string, meaning: string];
  /** `write`: a read-only caller gets EPERM before anything else is checked. */
  readonly access: "read" | "write";
  /** Neither its answer nor its effect depends on the tree: the store is not checked before it. */
  readonly isBesideTree?: true;
  /** Bodies below `minBytes` or above `maxBytes` get EINVAL. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /** The fixed part of the body, and the name of the variable part that follows it. */
  readonly layout?: { readonly size: number; readonly offset: Readonly<Record<string, number>> };
  readonly tail?: string;
  /** For docs/operations.md: the server's checks in order, then the answer. */
  readonly checks: readonly string[];
  readonly result: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Encodes the body; a failure of kind `size` says which argument does not fit. */
  encode(given: A): Buffer | QbFailure;
  /**
   * Describes the arguments, without secrets. The span has at least the layout's size, but may be
   * only the start of the body, whose size is `bodyBytes`.
   */
  describe(span: Span, bodyBytes: number): Description;
  readonly answer: AnswerFormat<R>;
  /** The meanings of errnos for this request. */
  readonly errors: Readonly<Partial<Record<Errno, string>>>;
  readonly redact?: Redaction;
  readonly probe?: ProbeSpec<A>;
  /**
   * Answers on the server. The body is valid during the call, and for an `Accepted` reply until its
   * work is done.
   */
  run(services: Services, body: Span, caller: Caller): CfsReply;
  /** The errno when the header claims a size below 16 (handler.ts); default: EINVAL. */
  malformed?(services: Services, body: Span): Errno;
}

/** A row with the literal types of its id and name. */
export type Row<Id extends number, Name extends string, A, R> = CfsRequest<A, R> & {
  readonly id: Id;
  readonly name: Name;
};

/** Declares a row, with literal types for its id and name. */
export function defineRequest<const Id extends number, const Name extends string, A, R>(
  row: Row<Id, Name, A, R>,
): Row<Id, Name, A, R> {
  return row;
}
