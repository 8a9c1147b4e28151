/** Runs `pmxcfs-ipc compat` from the sources, as a user would, and parses its TAP. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";

/** The command of the program from the sources, not of a built one. */
export const SOURCES: readonly string[] = [process.execPath, join(REPOSITORY, "src", "main.ts")];

export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the program with these arguments; does not throw because of its exit code. */
export async function runProgram(
  words: readonly string[],
  options: {
    readonly program?: readonly string[];
    readonly environment?: Record<string, string>;
    readonly input?: string;
  } = {},
): Promise<Finished> {
  const { program = SOURCES, environment = {}, input = "" } = options;
  const child = Bun.spawn([...program, ...words], {
    stdin: Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...environment },
  });
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  return { code, out, err };
}

/** One test point of a TAP stream. */
export interface Point {
  readonly title: string;
  readonly passed: boolean;
  readonly skip: string | undefined;
  readonly message: string;
}

export function pointsOf(tap: string): Point[] {
  const points: Point[] = [];
  for (const part of tap.split(/\n(?=ok |not ok )/)) {
    const found = /^(not )?ok \d+ - (.*?)(?: # SKIP (.*))?$/m.exec(part);
    if (found === null) continue;
    const [, bad, title = "", skip] = found;
    const message = /^ {2}message: (.*)$/m.exec(part)?.[1] ?? "";
    points.push({ title, passed: bad === undefined, skip, message });
  }
  return points;
}

/** Title and message of each failed point. */
export function failedIn(tap: string): string[] {
  return pointsOf(tap)
    .filter(({ passed }) => !passed)
    .map(({ title, message }) => `${title}: ${message}`);
}

/** A TMPDIR for one run, so that its files are told apart from those of other suites. */
export class OwnTemporary implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  readonly environment = { TMPDIR: this.path };

  get left(): string[] {
    return readdirSync(this.path).filter((name) => /^pmxcfs-ipc-(compat|fixtures)-/.test(name));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}
