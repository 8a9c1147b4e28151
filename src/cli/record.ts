/** `pmxcfs-ipc record`: a proxy that writes requests and answers to a file. */
import { errorText } from "../base/error-text.ts";
import { closeSync, ftruncateSync, openSync, unlinkSync, writeFileSync } from "node:fs";
import type { Watcher } from "../tools/trace/exchange.ts";
import { eventLine, headerLine, requestLine } from "../tools/trace/recording.ts";
import { flagOn, path } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure } from "./failure.ts";
import { proxyOptions, runProxy } from "./proxy-options.ts";

/** A recording contains configurations, so only its owner may read it. */
const MODE = 0o600;

/** The file of a recording. The first failed write ends the recording. */
class RecordingFile implements Disposable {
  readonly #name: string;
  readonly #file: number;
  #lines: string[] = [];
  #size = 0;
  failure: string | undefined;

  constructor(name: string) {
    this.#name = name;
    try {
      this.#file = openSync(name, "wx", MODE);
    } catch (error) {
      throw new CommandFailure(`cannot make ${name}: ${errorText(error)}`);
    }
  }

  /** Bytes of whole lines in the file. */
  get size(): number {
    return this.#size;
  }

  add(line: string): void {
    if (this.failure === undefined) this.#lines.push(line);
  }

  /** Writes all added lines in one write. */
  write(): void {
    const bytes = Buffer.from(this.#lines.join(""));
    this.#lines = [];
    if (bytes.byteLength === 0) return;
    try {
      writeFileSync(this.#file, bytes);
      this.#size += bytes.byteLength;
    } catch (error) {
      this.failure = errorText(error);
      // With a part of a line the recording could not be replayed.
      ftruncateSync(this.#file, this.#size);
      process.kill(process.pid, "SIGTERM");
    }
  }

  /** Removes the file of a recording that did not begin. */
  remove(): void {
    unlinkSync(this.#name);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

export const recordCommand = command({
  name: "record",
  summary: "Proxy between clients and a server that writes each request and its answer to a file",
  details: [
    "Used like `trace`. FILE is created and must not exist; docs/recording.md has its format.",
    "Left out unless --no-redact is given: private files and keys, token secrets, passwords and " +
      "ssh keys of guests, messages of the cluster log, and texts in status values.",
  ],
  examples: [["record node.jsonl --socket pve2x --upstream pve2", "record clients of @pve2x"]],
  options: {
    ...proxyOptions,
    redact: flagOn({ without: "Keep secrets in the file, which only its owner can read" }),
  },
  operands: { file: path({ description: "Recording to create", hint: "FILE", required: true }) },
  async run(values) {
    using file = new RecordingFile(values.file);
    file.add(headerLine(values.upstream, values.redact));
    file.write();
    const headerBytes = file.size;
    const watcher: Watcher = {
      wantsReplies: true,
      wants: () => true,
      opened: () => {},
      refused: () => {},
      exchanged(exchange) {
        // A replay could not distinguish it from a well-formed request with these bytes.
        if (!exchange.malformed) file.add(requestLine(exchange, values.redact));
      },
      event: ({ number }, _, { after, id, body }) => file.add(eventLine(number, after, id, body)),
      closed: () => {},
      batchEnd: () => file.write(),
    };
    try {
      await runProxy(values, watcher);
    } catch (error) {
      // The next try, with the server running or the right options, makes it again.
      if (file.size === headerBytes) file.remove();
      throw error;
    }
    if (file.failure !== undefined) {
      throw new CommandFailure(`cannot write ${values.file}: ${file.failure}`);
    }
  },
});
