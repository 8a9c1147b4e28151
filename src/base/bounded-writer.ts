/** Writes to a stream without waiting for its reader; what the reader has not read is bounded. */
import { constants, openSync, writeSync } from "node:fs";
import { errorCode } from "./error-text.ts";
import { LogLimits } from "./limits.ts";

/** Interval of the attempts to write to a terminal that takes nothing. */
const RETRY_MS = 20;

type Stream = NodeJS.WriteStream & { readonly fd: number };
type Failed = (error: unknown) => void;

/** Starts to write `text`, and calls `written` when the stream has taken all of it. */
type Start = (text: string, written: () => void) => void;

/**
 * Writes to a terminal that may be stopped (Ctrl-S), or whose network connection hangs: Bun's own
 * stream waits for it. `fd`: the terminal, opened without blocking.
 */
function terminalWriter(fd: number, failed: Failed): Start {
  const pending: { bytes: Buffer; readonly written: () => void }[] = [];
  let timer: Timer | undefined;
  const flush = (): void => {
    timer = undefined;
    for (let [first] = pending; first !== undefined; [first] = pending) {
      try {
        first.bytes = first.bytes.subarray(writeSync(fd, first.bytes));
        if (first.bytes.byteLength > 0) continue;
      } catch (error) {
        if (errorCode(error) === "EAGAIN") {
          timer = setTimeout(flush, RETRY_MS);
          return;
        }
        failed(error);
      }
      first.written();
      pending.shift();
    }
  };
  return (text, written) => {
    pending.push({ bytes: Buffer.from(text), written });
    if (timer === undefined) flush();
  };
}

/** The terminal of `stream`, opened without blocking; undefined if it is none, or not ours. */
function ownTerminal({ fd, isTTY }: Stream): number | undefined {
  if (!isTTY) return undefined;
  try {
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    return undefined;
  }
}

/**
 * A function that writes a text to `stream`, which buffers what its reader has not read. It returns
 * false, and drops the text, if LogLimits.unreadBytes are buffered. `failed` gets each error of the
 * stream: EPIPE if the reader has closed it, ENOSPC if it is a file on a full disk.
 */
export function boundedWriter(stream: Stream, failed: Failed): (text: string) => boolean {
  let unreadBytes = 0;
  stream.on("error", failed);
  const terminal = ownTerminal(stream);
  const start: Start =
    terminal === undefined
      ? (text, written) => void stream.write(text, written)
      : terminalWriter(terminal, failed);
  return (text) => {
    if (unreadBytes >= LogLimits.unreadBytes) return false;
    const size = Buffer.byteLength(text);
    unreadBytes += size;
    try {
      start(text, () => void (unreadBytes -= size));
    } catch (error) {
      unreadBytes -= size;
      failed(error);
    }
    return true;
  };
}
