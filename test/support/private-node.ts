/**
 * A private node for tests of the mount: mount, network, host-name, IPC and process namespaces with
 * temporary copies of /etc, /var/lib, /run and /dev/shm, the host name pve1 and an address. All its
 * processes end with it, because its first process is killed.
 */
import { Collected } from "../../src/platform/command.ts";
import { join } from "node:path";
import { Entered } from "./entered.ts";
import { eventually } from "./eventually.ts";
import { REPOSITORY } from "./native.ts";

const SET_UP = `
set -e
exec 9<"$2"
mount -t tmpfs -o size=512m,mode=0755 tmpfs /mnt
for lower in /etc /var/lib; do
  up=/mnt$lower; mkdir -p $up.up $up.work
  mount -t overlay overlay -o lowerdir=$lower,upperdir=$up.up,workdir=$up.work $lower
done
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
# A checkout below one of these directories keeps its path.
[ -d "$2" ] || { mkdir -p "$2" && mount --no-canonicalize --bind /proc/self/fd/9 "$2"; }
exec 9<&-
printf '127.0.0.1 localhost\\n192.0.2.11 pve1\\n' >/etc/hosts
rm -rf /etc/corosync /etc/pve /var/lib/pve-cluster
mkdir -p /etc/corosync /etc/pve
hostname pve1
ip link set lo up 2>/dev/null || true
mkdir /run/bin
ln -s "$1" /run/bin/pmxcfs
ln -s "$1" /run/bin/pmxcfs-ipc
echo ready
# The first process of the namespace inherits orphans: a shell reaps them, sleep would not.
sleep infinity &
wait
`;

/** The reason why there can be no private node here, or undefined. */
export function noPrivateNode(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root, for namespaces";
  if (Bun.which("unshare") === null) return "needs unshare (util-linux)";
  const script = "test -c /dev/fuse && exec 3<>/dev/fuse && mount -t tmpfs tmpfs /mnt";
  const { exitCode } = Bun.spawnSync(["unshare", "--mount", "sh", "-c", script]);
  return exitCode === 0 ? undefined : "needs /dev/fuse and the right to mount";
}

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The built program: nodes run it under both of its names. */
const BINARY = join(REPOSITORY, "dist", "pmxcfs-ipc");

/** A process in the node, in the background. */
export interface Running {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly stdout: Collected;
  readonly stderr: Collected;
  /** Its stdout and stderr so far. */
  output(): string;
}

export class PrivateNode implements AsyncDisposable {
  readonly #holder: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #pid: number;
  readonly #entered = new Entered();

  private constructor(holder: Bun.Subprocess<"ignore", "pipe", "pipe">, pid: number) {
    this.#holder = holder;
    this.#pid = pid;
  }

  static async start(): Promise<PrivateNode> {
    const unshare = "--mount --net --uts --ipc --pid --fork --kill-child --mount-proc";
    const words = ["unshare", ...unshare.split(" "), "--propagation", "private"];
    const holder = Bun.spawn([...words, "bash", "-c", SET_UP, "set-up", BINARY, REPOSITORY], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    for await (const chunk of holder.stdout) if (Buffer.from(chunk).includes("ready")) break;
    const children = Bun.file(`/proc/${holder.pid}/task/${holder.pid}/children`);
    const pid = Number((await children.text()).trim());
    if (!(pid > 0)) throw new Error(`no private node: ${await new Response(holder.stderr).text()}`);
    return new PrivateNode(holder, pid);
  }

  /** A path of the node, for this process. Use asynchronous calls on it: a mount may hang. */
  path(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** The command that runs `words` in the node. */
  #command(words: readonly string[]): string[] {
    const enter = ["nsenter", "-t", String(this.#pid), "-m", "-n", "-u", "-i", "-p"];
    return [...enter, "--wd=/", "env", `PATH=/run/bin:${process.env["PATH"]}`, ...words];
  }

  /** Runs a command to its end; after `timeoutMs` returns, and the command ends with the node. */
  async run(words: readonly string[], timeoutMs = 30_000): Promise<Ran> {
    const { child, stdout, stderr } = this.spawn(words);
    const { promise, resolve } = Promise.withResolvers<"late">();
    const timer = setTimeout(() => resolve("late"), timeoutMs);
    const ended = Promise.all([stdout.ended, stderr.ended, child.exited]);
    const isLate = (await Promise.race([ended, promise])) === "late";
    clearTimeout(timer);
    const late = isLate ? `\nstill running after ${timeoutMs} ms\n` : "";
    return { exitCode: child.exitCode ?? -1, stdout: stdout.text, stderr: stderr.text + late };
  }

  /** Runs a shell script; its stdout, trimmed. Throws with its output if it fails. */
  async sh(script: string, timeoutMs?: number): Promise<string> {
    const ran = await this.run(["bash", "-c", script], timeoutMs);
    if (ran.exitCode === 0) return ran.stdout.trim();
    throw new Error(`exit code ${ran.exitCode}: ${script}\n${ran.stdout}${ran.stderr}`);
  }

  /** Starts a command in the background. */
  spawn(words: readonly string[]): Running {
    const stdio = { stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
    const child = Bun.spawn(this.#command(words), stdio);
    this.#entered.add(child);
    const [stdout, stderr] = [new Collected(child.stdout), new Collected(child.stderr)];
    return { child, stdout, stderr, output: () => stdout.text + stderr.text };
  }

  /** Starts a server in the foreground; resolves when it serves. */
  async serve(...words: readonly string[]): Promise<Running> {
    const running = this.spawn(words);
    await eventually(`${words.join(" ")} serves`, () => {
      if (running.child.exitCode !== null) throw new Error(`it ended: ${running.output()}`);
      return running.output().includes("serving pve2");
    });
    return running;
  }

  /** Sends SIGTERM to the server by its name, because `child` is nsenter; waits for its end. */
  async stop({ child }: Running, name = "pmxcfs"): Promise<number> {
    await this.run(["pkill", "-TERM", "-x", name]);
    return await child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.kill("SIGKILL");
    await this.#holder.exited;
    await this.#entered.ended();
  }
}
