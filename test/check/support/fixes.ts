/**
 * Executes fixes of `--check`: a test makes a state in namespaces of its own, runs the diagnosis,
 * the command that it prints, and the diagnosis again. /run is empty there, so that the machine's
 * service manager cannot be reached, and `pmxcfs-ipc` is on the path.
 */
import { REPOSITORY } from "../../support/native.ts";
import type { Attempt, Tried } from "../servers/try-fix.ts";
import { PROGRAM, codesOf, machineSandbox, sandbox, shell } from "./run.ts";
import { expect } from "bun:test";
import { join } from "node:path";

const DRIVER = join(REPOSITORY, "test", "check", "servers", "try-fix.ts");

/** Directories of a node whose files must not be lost. */
const ROOTS = ["/etc", "/var/lib/pve-cluster", "/root"];

/** A machine whose /etc, /root, /run and /var/lib are the test's. */
const NODE = `
own_etc
for place in /opt /root /run /var/lib; do mount -t tmpfs tmpfs $place; done
mkdir -m 0750 /var/lib/pve-cluster
mkdir /opt/bin
printf '#!/bin/sh\\nexec ${PROGRAM.join(" ")} "$@"\\n' > /opt/bin/pmxcfs-ipc
chmod +x /opt/bin/pmxcfs-ipc
export PATH=/opt/bin:$PATH
`;

/** The driver as words of a shell script. */
export function driver(attempt: Partial<Attempt> & Pick<Attempt, "code" | "only">): string {
  const whole: Attempt = { service: "svc", roots: ROOTS, ...attempt };
  return shell([process.execPath, DRIVER, JSON.stringify(whole)]);
}

/** The parsed result of a fix; the error of an invalid one has everything that was printed. */
export function triedOf(out: string, error: string): Tried {
  try {
    return JSON.parse(out) as Tried;
  } catch (cause) {
    throw new Error(`no result:\n${out}\n${error}`, { cause });
  }
}

/**
 * Makes the state, executes the fix of a code, and returns both reports and what was lost.
 * `through` is a command in front of the driver; `inMachine`: in the pid namespace of this process,
 * where a script must end the processes that it starts.
 */
export async function follow(
  script: string,
  attempt: Partial<Attempt> & Pick<Attempt, "code" | "only">,
  { through = "", inMachine = false }: { through?: string; inMachine?: boolean } = {},
): Promise<Tried> {
  const space = inMachine ? machineSandbox : sandbox;
  const { out, error } = await space(`${NODE}\n${script}\n${through} ${driver(attempt)}`);
  return triedOf(out, error);
}

/** Expects that the fault was found, its fix was printed and removed it, and no content is lost. */
export function expectFixed(tried: Tried, code: string): void {
  const { first, fixes, output, lost, second, looked } = tried;
  const told = `${JSON.stringify(first.findings, undefined, 1)}\n${output}${looked}`;
  if (!codesOf(first).includes(code)) throw new Error(`${code} was not found in ${told}`);
  if (fixes.length === 0) throw new Error(`no fix of ${code} in ${told}`);
  for (const fix of fixes) expect(fix).not.toMatch(/\{\w+\}|[<>]\w+>|\bDELETE\b|\.recover/);
  if (codesOf(second).includes(code))
    throw new Error(`${code} is still there:\n${output}${looked}`);
  expect(lost).toEqual([]);
}
