/** The requests that change nothing, as `--check` sends them: rows of the table with a probe. */
import { READ_REQUESTS } from "../../pmxcfs/requests/read-requests.ts";
import type { CfsName } from "../../pmxcfs/requests/table.ts";
import type { Errno } from "../../base/errno.ts";

export interface Read {
  readonly name: CfsName;
  /** What follows `pmxcfs-ipc call` to ask the same; a command line, not a word. */
  readonly call: string;
  readonly id: number;
  readonly body: Buffer;
  /** What the reply must be: JSON, text of at least a byte, or anything. */
  readonly reply: "json" | "text" | "any";
  /** Errors that are right answers. */
  readonly mayFail: readonly Errno[];
  /** No error would be wrong. */
  readonly mustFail: true | undefined;
}

export const READS: readonly Read[] = READ_REQUESTS.map(({ request, body, call }) => ({
  name: request.name as CfsName,
  call,
  id: request.id,
  body,
  reply: request.probe?.reply ?? "any",
  mayFail: request.probe?.mayFail ?? [],
  mustFail: request.probe?.mustFail,
}));
