/** A client of the setup socket without libqb (test/native/qb-raw.c), for invalid handshakes. */
import { ConnectionRequest, QbMessage } from "../../src/wire/qb.ts";
import { newSpan } from "../../src/wire/struct.ts";
import type { Identity } from "./identity.ts";
import { LineProcess } from "./lines.ts";
import { native } from "./native.ts";

interface RawResult {
  readonly res: number;
  readonly hex?: string;
  readonly ended?: boolean;
}

/** A set-up request; `fields` replaces valid values. */
export function handshake(
  fields: { id?: number; size?: number; maxMessageBytes?: number } = {},
): Buffer {
  const span = newSpan(ConnectionRequest.size);
  ConnectionRequest.write.id(span, fields.id ?? QbMessage.AUTHENTICATE);
  ConnectionRequest.write.size(span, fields.size ?? ConnectionRequest.size);
  ConnectionRequest.write.maxMessageBytes(span, fields.maxMessageBytes ?? 1 << 20);
  return span.bytes;
}

export class RawClient implements AsyncDisposable {
  readonly #lines: LineProcess<RawResult>;

  private constructor(lines: LineProcess<RawResult>) {
    this.#lines = lines;
  }

  /** Connects to the service's abstract address; throws when no server listens. */
  static async open(service: string, identity?: Identity): Promise<RawClient> {
    const flags = identity && ["--uid", String(identity.uid), "--gid", String(identity.gid)];
    const lines = new LineProcess<RawResult>([native("qb-raw"), service, ...(flags ?? [])]);
    await lines.next();
    return new RawClient(lines);
  }

  get pid(): number {
    return this.#lines.pid;
  }

  /** Bytes sent, or a negative errno. */
  async write(bytes: Uint8Array): Promise<number> {
    return (await this.#lines.ask(`write ${Buffer.from(bytes).toString("hex")}`)).res;
  }

  /** Up to `size` bytes: fewer when the server closed (`ended`) or `timeoutMs` passed. */
  async read(size: number, timeoutMs = 10_000): Promise<{ bytes: Buffer; ended: boolean }> {
    const { hex = "", ended = false } = await this.#lines.ask(`read ${size} ${timeoutMs}`);
    return { bytes: Buffer.from(hex, "hex"), ended };
  }

  /** True if the server closes within `timeoutMs` without sending another byte. */
  async isClosed(timeoutMs = 10_000): Promise<boolean> {
    const { bytes, ended } = await this.read(1, timeoutMs);
    return ended && bytes.length === 0;
  }

  async close(): Promise<void> {
    await this.#lines.ask("close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }
}
