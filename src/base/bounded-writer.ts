/** Writes to a stream without waiting for its reader; what the reader has not read is bounded. */
import { LogLimits } from "./limits.ts";

/**
 * A function that writes a text to `stream`, which buffers what its reader has not read. It returns
 * false, and drops the text, if LogLimits.unreadBytes are buffered. `failed` gets each error of the
 * stream: EPIPE if the reader has closed it, ENOSPC if it is a file on a full disk.
 */
export function boundedWriter(
  stream: NodeJS.WriteStream,
  failed: (error: unknown) => void,
): (text: string) => boolean {
  let unreadBytes = 0;
  stream.on("error", failed);
  return (text) => {
    if (unreadBytes >= LogLimits.unreadBytes) return false;
    const size = Buffer.byteLength(text);
    unreadBytes += size;
    try {
      stream.write(text, () => void (unreadBytes -= size));
    } catch (error) {
      unreadBytes -= size;
      failed(error);
    }
    return true;
  };
}
