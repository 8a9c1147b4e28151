/** A server whose replies have other ids and errors, by request id: `replies.ts SERVICE`. */
import { Errno, NO_REPLY, type Reply, withError } from "../../../src/index.ts";
import { serveHandler } from "./serving.ts";

serveHandler({
  authenticate: () => "read-write",
  handle({ id, span }) {
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    switch (id) {
      case 1:
        return withError(Errno.EIO, body);
      case 2:
        return { id: 77, body };
      case 3:
        return NO_REPLY;
      case 4:
        return Bun.sleep(1).then((): Reply => ({ id: -9, error: 1234, body }));
      case 5:
        return Promise.resolve<Reply>(NO_REPLY);
      case 6:
        return { id: 2 ** 40 };
      case 7:
        return { error: 0.5 };
      case 8:
        return withError(Errno.EIO, new Uint8Array(2 * 1024 * 1024));
      default:
        return {};
    }
  },
});
