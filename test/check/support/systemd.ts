/**
 * A real systemd with a real journal, for units that a test writes: a copy of this machine's root
 * (an overlay in a mount namespace of its own), booted by systemd-nspawn into a target that runs
 * the diagnosis once and ends. It takes a second, and nothing of it is left.
 */
import { REPOSITORY } from "../../support/native.ts";
import { PROGRAM, type Told, run } from "./run.ts";

/** Why no systemd can be booted here, or undefined. */
export function noSystemd(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for a container";
  const tool = ["unshare", "systemd-nspawn"].find((name) => Bun.which(name) === null);
  return tool === undefined ? undefined : `needs ${tool} (apt-get install systemd-container)`;
}

export interface Boot {
  /** Text of unit files by name. */
  readonly units: Readonly<Record<string, string>>;
  readonly masked?: readonly string[];
  /** Units that are started; the others only exist. */
  readonly start?: readonly string[];
  /** A shell command that succeeds once the units have come to where the test wants them. */
  readonly until?: string;
  /** Instead of the diagnosis of the unit: what to run, its output is the result. */
  readonly command?: string;
  /** Arguments of systemd-nspawn besides the usual ones. */
  readonly flags?: readonly string[];
  /** The container is killed after this time; default: 50. */
  readonly longestS?: number;
}

function file(path: string, text: string): string {
  return `cat > ${path} <<'END-OF-UNIT'\n${text}\nEND-OF-UNIT\n`;
}

/** Waits at most 30 s for `until`, and runs the command. */
function checkScript({ until = "true", command }: Boot): string {
  const program = `${PROGRAM.join(" ")} --check --socket svc --only unit --json`;
  return `for i in $(seq 1500); do ${until} && break; sleep 0.02; done
journalctl --sync
{
${command ?? program}
} > /root/told
`;
}

/** Runs that, and ends the container. */
function checkUnit({ start = [] }: Boot): string {
  return `[Unit]
Wants=${start.join(" ")}
After=${start.join(" ")}
[Service]
Type=oneshot
ExecStart=/bin/bash /root/check
ExecStopPost=/bin/systemctl exit --no-block --force --force
`;
}

const TARGET = `[Unit]
Wants=systemd-journald.service check.service
After=check.service
`;

/**
 * What `--check --only unit` says under a systemd with these units. The checkout is
 * bound into it, for it may lie below /tmp, which systemd covers.
 */
export async function underSystemd(boot: Boot): Promise<Told> {
  return JSON.parse(await printedUnderSystemd(boot)) as Told;
}

/** What the command of a boot printed; the console's output in the error when that was nothing. */
export async function printedUnderSystemd(boot: Boot): Promise<string> {
  const directory = "/mnt/root/usr/lib/systemd/system";
  const units = { ...boot.units, "check.service": checkUnit(boot), "check.target": TARGET };
  const files = Object.entries(units).map(([name, text]) => file(`${directory}/${name}`, text));
  const masks = (boot.masked ?? []).map((name) => {
    return `ln -s /dev/null /mnt/root/etc/systemd/system/${name}\n`;
  });
  const script = `set -e
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
${files.join("")}${masks.join("")}${file("/mnt/root/root/check", checkScript(boot))}
    timeout -k 5 ${boot.longestS ?? 50} systemd-nspawn -q --register=no --keep-unit -D /mnt/root \\
      --bind-ro=${REPOSITORY} ${(boot.flags ?? []).join(" ")} --boot systemd.unit=check.target \\
      < /dev/null > /mnt/boot 2>&1 || true
    cat /mnt/root/root/told || { cat /mnt/boot >&2; exit 1; }`;
  // One at a time on a machine: two would manage the same control groups, and end each other's
  // services. A network namespace of its own, without the abstract sockets of the machine.
  const alone = ["flock", "/sys/fs/cgroup", "unshare", "-m", "-n", "bash", "-c", script];
  const { out, error } = await run(alone);
  if (!out.startsWith("{")) throw new Error(`no report:\n${out}\n${error}`);
  return out;
}
