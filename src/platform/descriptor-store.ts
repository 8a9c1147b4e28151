/**
 * systemd's descriptor store (sd_notify(3), FDSTORE): keeps a descriptor, under a name that we
 * choose, beyond the end of this process and passes it to the unit's next process.
 */
import { readFileSync } from "node:fs";
import { cText, shim } from "./shim.ts";

/** SD_LISTEN_FDS_START. */
const FIRST = 3;

/** Longest run of systemctl. */
const ANSWER_MS = 2000;

/** A descriptor from the manager's store. */
export interface StoredDescriptor {
  readonly fd: number;
  readonly name: string;
}

/** The descriptors that the manager passed to this process; none if LISTEN_PID is another's. */
export function storedDescriptors(environment: NodeJS.ProcessEnv): StoredDescriptor[] {
  const count = Number(environment["LISTEN_FDS"] ?? 0);
  if (Number(environment["LISTEN_PID"]) !== process.pid || !(count > 0)) return [];
  const names = (environment["LISTEN_FDNAMES"] ?? "").split(":");
  return Array.from({ length: count }, (_, index) => {
    const fd = FIRST + index;
    // Children of this process must not inherit it.
    shim.shim_adopt(fd);
    return { fd, name: names[index] ?? "" };
  });
}

/**
 * Has the manager store a copy of `fd` under `name`; false if there is no manager, or the message
 * could not be sent.
 */
export function storeDescriptor(environment: NodeJS.ProcessEnv, fd: number, name: string): boolean {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return false;
  const text = `FDSTORE=1\nFDNAME=${name}`;
  return shim.shim_notify_descriptor(cText(path), cText(text), fd) === 0;
}

/** Has the manager drop what it stores under `name`. */
export function forgetDescriptor(environment: NodeJS.ProcessEnv, name: string): void {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return;
  shim.shim_notify(cText(path), cText(`FDSTOREREMOVE=1\nFDNAME=${name}`));
}

/** The unit of this process, such as `pve-cluster.service`; undefined outside systemd. */
function ownUnit(): string | undefined {
  try {
    const cgroup = readFileSync("/proc/self/cgroup", "latin1");
    return /\/([^/\n]+\.service)$/m.exec(cgroup)?.[1];
  } catch {
    return undefined;
  }
}

/** The output of systemctl, which gets 2 s; throws if it cannot be started. */
async function askManager(environment: NodeJS.ProcessEnv, words: string[]): Promise<string> {
  const asked = Bun.spawn(["systemctl", ...words], {
    cwd: "/",
    env: environment,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    timeout: ANSWER_MS,
  });
  return await new Response(asked.stdout).text();
}

/**
 * True if the manager says that the stop in progress is part of a restart, and that the next
 * process of the unit gets the stored descriptors; false if unknown. It gets none when the unit was
 * switched back to the C server, for which a mount that is left behind may prevent the start.
 */
export async function isRestarting(
  environment: NodeJS.ProcessEnv,
  unit = ownUnit(),
): Promise<boolean> {
  if (unit === undefined || environment["INVOCATION_ID"] === undefined) return false;
  try {
    const [jobs, most] = await Promise.all([
      askManager(environment, ["list-jobs", "--plain", "--no-legend"]),
      askManager(environment, ["show", "--property=FileDescriptorStoreMax", "--value", unit]),
    ]);
    if (!(Number(most) > 0)) return false;
    return jobs.split("\n").some((line) => {
      const [, name, type] = line.trim().split(/\s+/);
      return name === unit && (type === "restart" || type === "try-restart");
    });
  } catch {
    return false;
  }
}
