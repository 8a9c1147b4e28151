/**
 * What a recording does not keep unless asked to: secrets of tokens, and files that only root may
 * read. The same cut is made to a request before it is looked up, so that replays find it.
 */
import { pathIsPrivate } from "../../pmxcfs/requests/access.ts";
import { CfsIpc } from "../../pmxcfs/requests/layouts.ts";
import { spanOf } from "../../wire/struct.ts";
import { textAt } from "../../wire/text.ts";

const REDACTED = "REDACTED";

/** Keys lie beside certificates where www-data reads them: nodes/NAME/pve-ssl.key. */
function isSecret(path: string): boolean {
  return pathIsPrivate(path) || path.endsWith(".key");
}

/** The body with a token's secret cut out; the same object when there is nothing to cut. */
export function redactBody(id: number, body: Buffer): Buffer {
  if (id !== CfsIpc.VERIFY_TOKEN) return body;
  const text = textAt(spanOf(body), 0);
  const [name = ""] = /^[^ =]*[ =]/.exec(text) ?? [];
  return Buffer.from(`${name}${REDACTED}\0`, "latin1");
}

/** The answer, or a placeholder for a file that is nobody's business. */
export function redactReply(id: number, body: Buffer, reply: Uint8Array): Uint8Array {
  const secret = id === CfsIpc.GET_CONFIG && isSecret(textAt(spanOf(body), 0));
  return secret && reply.byteLength > 0 ? Buffer.from(`${REDACTED}\n`) : reply;
}
