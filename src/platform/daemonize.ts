/**
 * Becomes a daemon without fork(2), which is unsafe in a runtime with threads: the program starts
 * itself again in a new session and waits for a ready byte. If the start fails it exits with the
 * daemon's exit code, as the C server's parent does.
 */
import { closeSync, openSync, readdirSync, readlinkSync, writeFileSync, writeSync } from "node:fs";
import { COMPILED, selfCommand } from "./self.ts";
import { shim } from "./shim.ts";

/** The first descriptor after stdio. */
const READY_FD = 3;
const STDERR = 2;
const STDIO = [0, 1, STDERR];

/** Sets the process's name for `ps`, `pgrep -x` and `killall`: at most 15 bytes. */
export function nameProcess(name: string): void {
  try {
    writeFileSync("/proc/self/comm", name);
  } catch {
    // The name is only informative.
  }
}

/** Written by the daemon to the descriptor it was given, when it is ready (`reportReady`). */
export const READY_BYTE = "1";

/** Waits for the ready byte; false at the end of the stream. */
async function readyByte(fd: number): Promise<boolean> {
  for await (const chunk of Bun.file(fd).stream()) return chunk.length > 0;
  return false;
}

/** The daemon's own option: the descriptor for its ready byte. No option of a command. */
export const DAEMON_FD = "--daemon-fd=";

/**
 * Starts this program again, detached, with `words` and, after the first of them, DAEMON_FD with a
 * descriptor; waits for its ready byte. 0: the byte came; otherwise the exit code of the process,
 * or undefined if a signal ended it.
 */
export async function startDetached(words: readonly string[]): Promise<number | undefined> {
  const [program = process.execPath, ...before] = selfCommand();
  // The compiled program under this name needs no first word: see main.ts.
  const [name = "", ...others] = words;
  const command = COMPILED ? [program] : [program, ...before, name];
  const child = Bun.spawn([...command, `${DAEMON_FD}${READY_FD}`, ...others], {
    argv0: COMPILED ? name : program,
    // In the directory of this process: paths of options count from there.
    detached: true,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const fd = child.stdio[READY_FD];
  const byte = typeof fd === "number" ? readyByte(fd) : Promise.resolve(false);
  const ready = await Promise.race([byte, child.exited.then(() => false)]);
  if (ready) {
    child.unref();
    return 0;
  }
  const code = await child.exited;
  return child.signalCode === null ? code : undefined;
}

function target(fd: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

/** Writes to stderr directly, because the runtime's stream keeps a duplicate of it open. */
export function writeStderr(text: string): void {
  try {
    writeSync(STDERR, text);
  } catch {
    // The reader has closed its end.
  }
}

/**
 * Detaches from the terminal: replaces stdio, and every duplicate of it that the runtime made, by
 * /dev/null, so that the reader of a pipe sees the end of the stream. The working directory is /.
 */
export function becomeDaemon(): void {
  process.chdir("/");
  const held = new Set(STDIO.map(target));
  const copies = readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => held.has(target(fd)));
  const nothing = openSync("/dev/null", "r+");
  for (const fd of new Set([...STDIO, ...copies])) shim.shim_replace(nothing, fd);
  closeSync(nothing);
}
