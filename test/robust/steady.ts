/** The well-behaved libqb client beside an attack, test/native/qb-steady.c. */
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";

/** Its results between `go` and `stop`; times in ns, 0 if there was none. */
export interface Seen {
  readonly roundTrips: number;
  readonly failures: number;
  /** The last failure: a negative errno. */
  readonly error: number;
  readonly mismatches: number;
  readonly worstNs: number;
  readonly worstConnectNs: number;
}

export class Steady implements AsyncDisposable {
  readonly #lines: LineProcess<Seen>;

  private constructor(lines: LineProcess<Seen>) {
    this.#lines = lines;
  }

  /** Connects to `service`; `before`: words before the command, such as nsenter. */
  static async open(
    service: string,
    flags: readonly string[],
    before: readonly string[] = [],
  ): Promise<Steady> {
    const lines = new LineProcess<Seen>([...before, native("qb-steady"), service, ...flags]);
    await lines.next();
    return new Steady(lines);
  }

  async go(): Promise<void> {
    await this.#lines.ask("go");
  }

  async stop(): Promise<Seen> {
    return await this.#lines.ask("stop");
  }

  async kill(): Promise<void> {
    await this.#lines.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }
}
