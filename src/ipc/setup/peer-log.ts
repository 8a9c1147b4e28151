/**
 * Log lines that peers can cause, rate-limited; lines left out are counted, and the count is
 * logged.
 */
import { counted } from "../../base/counted.ts";
import { LogLimits } from "../../base/limits.ts";
import { LineBudget, type Log } from "../../base/log.ts";

export class PeerLog {
  readonly #log: Log;
  readonly #budget: LineBudget;

  constructor(log: Log) {
    this.#log = log;
    const { peerLines, peerIntervalMs } = LogLimits;
    const report = (leftOut: number): void => {
      const lines = `${counted(leftOut, "more line")} about clients`;
      log.warn(`left out ${lines} in the last ${peerIntervalMs / 1000} s`);
    };
    this.#budget = new LineBudget(peerLines, peerLines, report, peerIntervalMs);
  }

  /**
   * Takes a function so that the line, which may cost more than the event, is built only when it is
   * written.
   */
  warn(line: () => string): void {
    if (this.#budget.take()) this.#log.warn(line());
  }

  /** Logs an exception in our code or the handler's: the failed action, and the stack. */
  failure(action: string, error: unknown): void {
    if (this.#budget.take()) this.#log.error(`${action}: ${errorWithStack(error)}`);
  }

  /** A line for developers, not rate-limited here; built only if debug lines are on. */
  debug(line: () => string): void {
    if (this.#log.debugOn) this.#log.debug(line());
  }

  close(): void {
    this.#budget.close();
  }
}

/** The error and its stack in one line: `TypeError: x is undefined <- handle (server.ts:12:5)`. */
function errorWithStack(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const frames = (error.stack ?? "")
    .split("\n")
    .map((line) => line.trim().replace(/^at /, ""))
    .filter((line) => line !== "" && !line.startsWith(error.name));
  return [`${error.name}: ${error.message}`, ...frames].join(" <- ");
}
