/** `pmxcfs-ipc trace --fuse`: prints the operations of a mount, as decoded by its server. */
import type { Socket } from "bun";
import { escapeText } from "../base/escape.ts";
import { type TracedOperation, tracePathOf } from "../daemon/node/trace-socket.ts";
import { Opcode } from "../fuse/opcodes.ts";
import { statusPath } from "../observe/status.ts";
import { fullQueue } from "../platform/bound-socket.ts";
import { commandOf } from "../platform/processes.ts";
import { stopRequested } from "../platform/signals.ts";
import { ClosedOutput, CommandFailure, UsageFailure } from "./failure.ts";
import { suggest } from "./suggest.ts";
import { print } from "./terminal.ts";

/** The options of `trace` that apply to a mount. */
export interface MountTraceOptions {
  /** Service name of the server that mounts. */
  readonly upstream: string;
  readonly operation: readonly string[];
  readonly uid: readonly string[];
  readonly errno: readonly string[];
  readonly json: boolean;
}

const TIME_WIDTH = 24;
const OPERATION_WIDTH = 10;

function textOf(line: TracedOperation): string {
  const { at_ms: at, operation, path, arguments: words, pid, uid, result, us } = line;
  const time = new Date(at).toISOString().padEnd(TIME_WIDTH);
  const what = `${operation.padEnd(OPERATION_WIDTH)} /${path}${words === "" ? "" : ` ${words}`}`;
  const lost = line.left_out > 0 ? ` (left out ${line.left_out} before this one)` : "";
  const who = `pid ${pid} (${commandOf(pid)}) uid ${uid}`;
  return `${time} ${escapeText(what)} = ${result} ${us}us ${who}${lost}`;
}

const OPERATIONS = Object.keys(Opcode).map((name) => name.toLowerCase());

/** Throws UsageFailure for the first word that is no operation of a mount. */
function demandOperations(words: readonly string[]): void {
  const unknown = words.find((word) => !OPERATIONS.includes(word.toLowerCase()));
  if (unknown === undefined) return;
  const hint = suggest(unknown.toLowerCase(), OPERATIONS);
  throw new UsageFailure(`--operation: "${unknown}" is not an operation of the mount`, hint);
}

/** Whether `word` is in the list, or the list is empty. */
function among(words: readonly string[], word: string): boolean {
  return words.length === 0 || words.some((each) => each.toLowerCase() === word.toLowerCase());
}

function isWanted(line: TracedOperation, options: MountTraceOptions): boolean {
  return (
    among(options.operation, line.operation) &&
    among(options.uid, String(line.uid)) &&
    among(options.errno, line.result)
  );
}

/**
 * Prints until SIGTERM or SIGINT. Throws UsageFailure for an unknown operation, CommandFailure
 * without a server and when it ends the connection, ClosedOutput when the reader of stdout closes
 * it.
 */
export async function traceMount(options: MountTraceOptions): Promise<void> {
  demandOperations(options.operation);
  const status = statusPath(options.upstream, process.env, process.getuid?.());
  if (status === undefined) {
    throw new CommandFailure("XDG_RUNTIME_DIR is not set, so the server's socket cannot be found");
  }
  const path = tracePathOf(status);
  const decoder = new TextDecoder();
  let rest = "";
  let closed: ClosedOutput | undefined;
  const show = (socket: Socket, chunk: Uint8Array): void => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    try {
      for (const text of lines) {
        const line = JSON.parse(text) as TracedOperation;
        if (isWanted(line, options)) print(options.json ? `${text}\n` : `${textOf(line)}\n`);
      }
    } catch (error) {
      if (!(error instanceof ClosedOutput)) throw error;
      closed = error;
      socket.terminate();
    }
  };
  const { promise: ended, resolve } = Promise.withResolvers<undefined>();
  const close = (): void => resolve(undefined);
  let socket: Socket;
  try {
    socket = await Bun.connect({ unix: path, socket: { data: show, close, error: close } });
  } catch (error) {
    const what = `is "${options.upstream}" a server with a mount, and are you root?`;
    throw new CommandFailure(`cannot trace at ${path}: ${fullQueue(path, error) ?? what}`);
  }
  const signal = await Promise.race([ended, stopRequested()]);
  socket.terminate();
  if (closed !== undefined) throw closed;
  if (signal === undefined) {
    throw new CommandFailure(
      "the server has ended the trace: it stops, or has its maximum of readers",
    );
  }
}
