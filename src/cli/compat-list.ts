/** Output of the compatibility runner on a terminal: a line per finished case, and the progress. */
import type { Case, Flavor } from "../tools/compat/case.ts";
import { escapeText } from "../base/escape.ts";
import { type Result, totals } from "../tools/compat/run.ts";
import { CLEAR_LINE, print, type Style } from "./terminal.ts";

const NAME_COLUMNS = 28;

export class LiveList {
  readonly #style: Style;
  readonly #planned: number;
  readonly #seed: number;
  #done = 0;
  #pending: Result[] = [];

  constructor(style: Style, planned: number, seed: number) {
    this.#style = style;
    this.#planned = planned;
    this.#seed = seed;
  }

  starting(testCase: Case, flavor: Flavor): void {
    const line = `[${this.#done + 1}/${this.#planned}] ${testCase.name} (${flavor})`;
    print(`${CLEAR_LINE}${this.#style.dim(line)}`);
  }

  finished(result: Result): void {
    this.#done++;
    if (this.#pending[0] !== undefined && this.#pending[0].testCase !== result.testCase)
      this.#flush();
    this.#pending.push(result);
    if (result.outcome === "failed") this.#flush();
  }

  /** Prints the line of one case, with a mark per kind of client, and reasons below it. */
  #flush(): void {
    const [first] = this.#pending;
    if (first === undefined) return;
    const marks = this.#pending.map((result) => this.#mark(result)).join(" ");
    const ms = this.#pending.reduce((sum, result) => sum + result.ms, 0);
    const name = first.testCase.name.padEnd(NAME_COLUMNS);
    const time = ms === 0 ? "" : this.#style.dim(` ${Math.round(ms)} ms`);
    print(`${CLEAR_LINE}${name} ${marks}${time}\n`);
    for (const { outcome, flavor, reason = "", testCase } of this.#pending) {
      if (outcome !== "failed") continue;
      print(
        `    ${this.#style.red(`${flavor}: ${escapeText(reason)}`)}\n    ${this.#style.dim(testCase.shows)}\n`,
      );
    }
    this.#pending = [];
  }

  #mark({ outcome, flavor, deviations }: Result): string {
    if (outcome === "failed") return this.#style.red(`✗ ${flavor}`);
    if (outcome === "skipped") return this.#style.dim(`- ${flavor}`);
    return deviations.length > 0
      ? this.#style.yellow(`≈ ${flavor}`)
      : this.#style.green(`✓ ${flavor}`);
  }

  /** Prints why cases were skipped, and the totals; `aborted`: why the run ended early. */
  end(results: readonly Result[], aborted?: string): void {
    this.#flush();
    print(CLEAR_LINE);
    const reasons = new Map<string, number>();
    for (const { outcome, reason = "" } of results) {
      if (outcome === "skipped") reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    }
    for (const [reason, times] of reasons) print(this.#style.dim(`skipped ${times}: ${reason}\n`));
    const { passed, failed, skipped } = totals(results);
    const left = this.#planned - results.length;
    const unrun = left === 0 ? "" : `, ${left} not run`;
    const good = aborted ?? "all passed";
    const verdict = failed === 0 ? this.#style.green(good) : this.#style.red(`${failed} failed`);
    print(`${passed} passed, ${skipped} skipped${unrun}: ${verdict} (seed ${this.#seed})\n`);
  }
}
