/**
 * A real systemd with a real journal, for units that a test writes: a copy of this machine's root
 * (an overlay in a mount namespace of its own), booted by systemd-nspawn into a target that runs
 * the diagnosis once and ends. It takes a second, and nothing of it is left.
 */
import { REPOSITORY } from "../../support/native.ts";
import { PROGRAM, run, type Told } from "./run.ts";

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
}

const LONGEST_S = 50;

function file(path: string, text: string): string {
  return `cat > ${path} <<'END-OF-UNIT'\n${text}\nEND-OF-UNIT\n`;
}

/** Runs the diagnosis, waiting at most 10 s for `until`, and ends the container. */
function checkUnit({ start = [], until = "true" }: Boot): string {
  const wait = `for i in $(seq 500); do ${until} && break; sleep 0.02; done`;
  const program = `${PROGRAM.join(" ")} --check --socket svc --only unit --json`;
  return `[Unit]
Wants=${start.join(" ")}
After=${start.join(" ")}
[Service]
Type=oneshot
ExecStart=/bin/bash -c '${wait}; journalctl --sync; ${program} > /root/told'
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
  const directory = "/mnt/root/etc/systemd/system";
  const units = { ...boot.units, "check.service": checkUnit(boot), "check.target": TARGET };
  const files = Object.entries(units).map(([name, text]) => file(`${directory}/${name}`, text));
  const masks = (boot.masked ?? []).map((name) => `ln -s /dev/null ${directory}/${name}\n`);
  const script = `set -e
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
${files.join("")}${masks.join("")}
    timeout -k 5 ${LONGEST_S} systemd-nspawn -q --register=no --keep-unit -D /mnt/root \\
      --bind-ro=${REPOSITORY} --boot systemd.unit=check.target \\
      < /dev/null > /mnt/boot 2>&1 || true
    cat /mnt/root/root/told || { cat /mnt/boot >&2; exit 1; }`;
  const { out, error } = await run(["unshare", "-m", "bash", "-c", script]);
  try {
    return JSON.parse(out) as Told;
  } catch (cause) {
    throw new Error(`no report:\n${out}\n${error}`, { cause });
  }
}
