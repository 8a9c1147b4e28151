/**
 * Log lines that peers can cause, rate-limited; lines left out are counted, and the count is
 * logged.
 */
import { LineBudget, type Log } from "../../base/log.ts";

const LINES_PER_INTERVAL = 20;
const INTERVAL_MS = 10_000;

export class PeerLog {
  readonly #log: Log;
  readonly #budget: LineBudget;

  constructor(log: Log) {
    this.#log = log;
    const tell = (heldBack: number): void => {
      const when = `in the last ${INTERVAL_MS / 1000} s`;
      log.warn(`${heldBack} more lines about clients held back ${when}`);
    };
    this.#budget = new LineBudget(LINES_PER_INTERVAL, LINES_PER_INTERVAL, tell, INTERVAL_MS);
  }

  /**
   * Takes a function: the line is built only when it is written, which may cost more than the
   * event.
   */
  warn(line: () => string): void {
    if (this.#budget.take()) this.#log.warn(line());
  }

  /** Logs an exception of our code or the handler's: where it happened, and the stack. */
  failure(what: string, error: unknown): void {
    if (this.#budget.take()) this.#log.error(`${what}: ${errorWithStack(error)}`);
  }

  /** For developers, not counted; the line is built only when it is wanted. */
  debug(line: () => string): void {
    if (this.#log.debugOn) this.#log.debug(line());
  }

  close(): void {
    this.#budget.close();
  }
}

/** `TypeError: x is undefined <- handle (server.ts:12:5) <- ...`: a log line is one line. */
function errorWithStack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const frames = (error.stack ?? "")
    .split("\n")
    .map((line) => line.trim().replace(/^at /, ""))
    .filter((line) => line !== "" && !line.startsWith(error.name));
  return [`${error.name}: ${error.message}`, ...frames].join(" <- ");
}
