/**
 * systemd's descriptor store (sd_notify(3), FDSTORE): a descriptor that outlives this process and
 * is handed to the next one of the unit, named by us.
 */
import { readFileSync } from "node:fs";
import { shim, cString } from "./shim.ts";

/** SD_LISTEN_FDS_START. */
const FIRST = 3;

/** A descriptor the manager kept. */
export interface StoredDescriptor {
  readonly fd: number;
  readonly name: string;
}

/** Descriptors that the manager hands to this process; none when they are for another one. */
export function storedDescriptors(environment: NodeJS.ProcessEnv): StoredDescriptor[] {
  const count = Number(environment["LISTEN_FDS"] ?? 0);
  if (Number(environment["LISTEN_PID"]) !== process.pid || !(count > 0)) return [];
  const names = (environment["LISTEN_FDNAMES"] ?? "").split(":");
  return Array.from({ length: count }, (_, index) => {
    const fd = FIRST + index;
    // Children of this process must not have it.
    shim.shim_adopt(fd);
    return { fd, name: names[index] ?? "" };
  });
}

/** Has the manager keep a copy of `fd` under `name`; false where there is no such manager. */
export function storeDescriptor(environment: NodeJS.ProcessEnv, fd: number, name: string): boolean {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return false;
  const text = `FDSTORE=1\nFDNAME=${name}`;
  return shim.shim_notify_descriptor(cString(path), cString(text), fd) === 0;
}

/** Removes what the manager keeps under `name`. */
export function forgetDescriptor(environment: NodeJS.ProcessEnv, name: string): void {
  const path = environment["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return;
  shim.shim_notify(cString(path), cString(`FDSTOREREMOVE=1\nFDNAME=${name}`));
}

/** The unit this process belongs to (`pve-cluster.service`), undefined outside of systemd. */
function ownUnit(): string | undefined {
  try {
    const cgroup = readFileSync("/proc/self/cgroup", "latin1");
    return /\/([^/\n]+\.service)$/m.exec(cgroup)?.[1];
  } catch {
    return undefined;
  }
}

/** True when the stop in progress is the first half of a restart, according to the manager. */
export async function isRestarting(environment: NodeJS.ProcessEnv): Promise<boolean> {
  const unit = ownUnit();
  if (unit === undefined || environment["INVOCATION_ID"] === undefined) return false;
  try {
    const jobs = Bun.spawn(["systemctl", "list-jobs", "--plain", "--no-legend"], {
      cwd: "/",
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      timeout: 2000,
    });
    const text = await new Response(jobs.stdout).text();
    return text.split("\n").some((line) => {
      const [, name, type] = line.trim().split(/\s+/);
      return name === unit && (type === "restart" || type === "try-restart");
    });
  } catch {
    return false;
  }
}
