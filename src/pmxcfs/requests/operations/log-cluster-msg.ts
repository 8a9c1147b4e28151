/** LOG_CLUSTER_MSG: one line for the cluster log, with the caller's pid. C: cfs_cluster_log. */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc, LogClusterMessageRequest } from "../layouts.ts";
import { textAt } from "../../../wire/text.ts";
import { DONE, type Operation } from "../operation.ts";

const { priority, identBytes, tagBytes } = LogClusterMessageRequest.read;

/** Where ident begins; the byte before it is `tagBytes`. */
const DATA = LogClusterMessageRequest.size;

/**
 * Each string is read from where the lengths say it begins up to its NUL, wherever that is. Only
 * three bytes are checked: those before tag and message (with an empty ident the first of them is
 * the tag length itself), and the one after the claimed end, which is 0 unless the header claims
 * less than was sent. A message needs no NUL of its own.
 */
export const logClusterMessage: Operation = {
  id: CfsIpc.LOG_CLUSTER_MSG,
  name: "LOG_CLUSTER_MSG",
  access: "write",
  minBytes: DATA,
  maxBytes: Infinity,
  run({ clusterLog }, body, caller) {
    const tagAt = DATA + identBytes(body);
    const messageAt = tagAt + tagBytes(body);
    if (body.size - messageAt < 1) return Errno.EINVAL;
    if (byteAt(tagAt - 1) !== 0 || byteAt(messageAt - 1) !== 0) return Errno.EINVAL;
    if ((byteAt(body.size) ?? 0) !== 0) return Errno.EINVAL;
    clusterLog.add({
      priority: priority(body),
      user: textAt(body, DATA),
      tag: textAt(body, tagAt),
      message: textAt(body, messageAt),
      pid: caller.pid,
    });
    return DONE;

    function byteAt(offset: number): number | undefined {
      return body.bytes[body.at + offset];
    }
  },
};
