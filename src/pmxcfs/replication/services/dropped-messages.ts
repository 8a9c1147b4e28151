/**
 * Log lines about messages of other nodes that this node drops. Their number is limited: a node
 * whose messages are dropped sends several a second.
 */
import { counted } from "../../../base/counted.ts";
import { LineBudget, type Log } from "../../../base/log.ts";

/** Lines per interval, in all and about one node. */
const LINES = 20;
const LINES_OF_ONE = 5;
const INTERVAL_MS = 60_000;

export class DroppedMessages {
  readonly #log: Log;
  readonly #budget: LineBudget;

  constructor(log: Log) {
    this.#log = log;
    this.#budget = new LineBudget(
      LINES,
      LINES_OF_ONE,
      (leftOut, nodeid) => {
        log.warn(`dropped ${counted(leftOut, "more message")}, most of node ${nodeid}`);
      },
      INTERVAL_MS,
    );
  }

  /** A message of `nodeid` was dropped. */
  report(line: string, nodeid: number): void {
    if (this.#budget.take(nodeid)) this.#log.warn(line);
  }

  /** Logs how many lines were left out since the last such line. */
  close(): void {
    this.#budget.close();
  }
}
