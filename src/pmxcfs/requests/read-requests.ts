/**
 * The read-only requests, with arguments that every server accepts: for `--check` and `bench`.
 */
import { bodyOf } from "./encoding.ts";
import { type AnyRequest, REQUESTS } from "./table.ts";
import { callWords } from "./wording.ts";

/** A read-only request, ready to be sent. */
export interface ReadRequest {
  readonly request: AnyRequest;
  readonly body: Buffer;
  /** The words after `pmxcfs-ipc call` that send the same request. */
  readonly call: string;
}

/** In the order of their ids. */
export const READ_REQUESTS: readonly ReadRequest[] = REQUESTS.flatMap((request) => {
  if (request.probe === undefined) return [];
  const given = request.probe.arguments;
  return [{ request, body: bodyOf(request, given), call: callWords(request, given) }];
});
