/**
 * A libqb client: runs test/native/qb-client.c and sends it commands as lines. Each client is a
 * process with one connection, so that it can have its own uid and be killed.
 */
import { LineProcess } from "./lines.ts";
import { native } from "./native.ts";

/** The answer to one line. `res` is the result of the libqb call: bytes, or a negative errno. */
export interface Result {
  readonly ev: string;
  readonly res: number;
  /** Fields of a received message; the body in hex. */
  readonly id?: number;
  readonly size?: number;
  readonly error?: number;
  readonly body?: string;
  /** connect: nanoseconds it took, the negotiated size, strerror. */
  readonly ns?: number;
  readonly buffer?: number;
  readonly text?: string;
  /** pipeline: counts. */
  readonly sent?: number;
  readonly received?: number;
  readonly mismatches?: number;
  /** server: pid and uid of the server, from libqb. */
  readonly pid?: number;
  readonly uid?: number;
}

export interface ClientOptions {
  readonly uid?: number;
  readonly gid?: number;
  /** Real ids, where they differ from the effective ones above. */
  readonly realUid?: number;
  readonly realGid?: number;
  readonly maxMessageBytes?: number;
  readonly receiveBytes?: number;
}

export class QbClient implements AsyncDisposable {
  /** The result of the connect: res 0, or a negative errno. */
  readonly connected: Result;
  readonly #lines: LineProcess<Result>;

  private constructor(lines: LineProcess<Result>, connected: Result) {
    this.#lines = lines;
    this.connected = connected;
  }

  /** Starts a client and waits for its connect, which may fail: see `connected`. */
  static async open(service: string, options: ClientOptions = {}): Promise<QbClient> {
    const flags = Object.entries({
      "--uid": options.uid,
      "--gid": options.gid,
      "--real-uid": options.realUid,
      "--real-gid": options.realGid,
      "--max-msg-size": options.maxMessageBytes,
      "--recv-buffer": options.receiveBytes,
    }).flatMap(([flag, value]) => (value === undefined ? [] : [flag, String(value)]));
    const lines = new LineProcess<Result>([native("qb-client"), service, ...flags]);
    return new QbClient(lines, await lines.next());
  }

  get pid(): number {
    return this.#lines.pid;
  }

  /** Sends one line and waits for its result; the lines are listed in qb-client.c. */
  async run(line: string): Promise<Result> {
    return await this.#lines.ask(line);
  }

  /** One request and its answer. The body is text (latin1) or bytes. */
  async call(id: number, body: string | Uint8Array = "", headerBytes?: number): Promise<Result> {
    const bytes = typeof body === "string" ? Buffer.from(body, "latin1") : Buffer.from(body);
    return await this.run(`sendrecv ${id} ${bytes.toString("hex") || "-"} ${headerBytes ?? ""}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#lines.signal(signal);
  }

  /** Ends the client as a crash would. */
  async kill(): Promise<void> {
    await this.#lines.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }
}

/** The body of a result as latin1 text. */
export function bodyText(result: Result): string {
  return Buffer.from(result.body ?? "", "hex").toString("latin1");
}
