/**
 * A mount whose server hangs, is stopped, is killed or starts again: a process that accesses it
 * gets an answer or an error and never waits forever, and no written data is lost.
 */
import { expect } from "bun:test";
import { release } from "node:os";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const testOnNode = testUnless(noPrivateNode());

/** Mounts fusectl and sets n to the number of the mount's connection. */
const CONNECTION = `
mount -t fusectl fusectl /sys/fs/fuse/connections
n=$(awk '$5 == "/etc/pve" { split($3, d, ":"); print d[2] }' /proc/self/mountinfo)
`;

testOnNode("an aborted mount is mounted again, with all written data", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh(`echo kept >/etc/pve/f; ${CONNECTION} echo 1 >/sys/fs/fuse/connections/$n/abort`);
  await eventually("mounted again", () => server.output().includes("/etc/pve: mounted again"));
  expect(await node.sh("cat /etc/pve/f; grep -c ' /etc/pve fuse ' /proc/mounts")).toBe("kept\n1");
  expect(await node.stop(server)).toBe(0);
});

testOnNode(
  "a mount that cannot be made again ends the server with an error, and systemd starts it again",
  async () => {
    await using node = await PrivateNode.start();
    const server = await node.serve("pmxcfs", "-l", "-f");
    const abort = `${CONNECTION} echo 1 >/sys/fs/fuse/connections/$n/abort`;
    await node.sh(`echo kept >/etc/pve/f; mount --bind /dev/null /dev/fuse; ${abort}`);
    expect(await server.child.exited).toBe(255);
    const [last = ""] = server.output().trimEnd().split("\n").slice(-1);
    expect(last).toStartWith("[main] crit: /etc/pve cannot be mounted again: fuse_mount error: ");
    await node.sh("umount /dev/fuse");
    const again = await node.serve("pmxcfs", "-l", "-f");
    expect(await node.sh("cat /etc/pve/f")).toBe("kept");
    expect(await node.stop(again)).toBe(0);
  },
);

testOnNode("a second SIGTERM during the stop leaves no dead mount and no rings", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh("pmxcfs-ipc call get-fs-version >/dev/null; echo kept >/etc/pve/f");
  // Both signals are pending when the server continues.
  await node.sh("for s in STOP TERM INT CONT; do kill -$s $(pgrep -x pmxcfs); done");
  // nsenter was stopped with its child.
  server.child.kill("SIGCONT");
  expect(await server.child.exited).toBe(1);
  expect(await node.sh("ls /etc/pve /dev/shm; grep -c ' /etc/pve ' /proc/mounts || true")).toBe(
    "/dev/shm:\n\n/etc/pve:\n0",
  );
  const again = await node.serve("pmxcfs", "-l", "-f");
  expect(await node.sh("cat /etc/pve/f")).toBe("kept");
  expect(await node.stop(again)).toBe(0);
});

testOnNode("a stop of a server whose mount was just aborted leaves no mount", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  // The signal and the end of the connection are both pending when the server continues.
  const abort = `${CONNECTION} echo 1 >/sys/fs/fuse/connections/$n/abort`;
  await node.sh(`pkill -STOP -x pmxcfs; ${abort}; pkill -TERM -x pmxcfs; pkill -CONT -x pmxcfs`);
  // nsenter was stopped with its child.
  server.child.kill("SIGCONT");
  expect(await server.child.exited).toBe(0);
  expect(await node.sh("grep -c ' /etc/pve ' /proc/mounts || true")).toBe("0");
});

/** The error that a process gets in the mount of a stopped server, and after how many seconds. */
async function lookAtStopped(...options: string[]): Promise<{ said: string; seconds: number }> {
  await using node = await PrivateNode.start();
  await node.sh("mount -t fusectl fusectl /sys/fs/fuse/connections");
  const server = await node.serve("pmxcfs", "-l", "-f", "--request-timeout", "1s", ...options);
  await node.sh("echo kept >/etc/pve/f; pkill -STOP -x pmxcfs");
  const since = performance.now();
  const { stderr } = await node.run(["stat", "/etc/pve/nobody-looked-here"], 75_000);
  const seconds = (performance.now() - since) / 1000;
  await node.sh("pkill -CONT -x pmxcfs");
  // nsenter stops with its child, and must be continued separately.
  server.child.kill("SIGCONT");
  await eventually("mounted again", () => server.output().includes("/etc/pve: mounted again"));
  expect(await node.sh("cat /etc/pve/f; pgrep -x mount-watchdog -c; true")).toMatch(/^kept\n[01]$/);
  expect(await node.stop(server)).toBe(0);
  await eventually("no watchdog is left", async () => {
    return (await node.run(["pgrep", "-x", "mount-watchdog"])).exitCode === 1;
  });
  return { said: stderr, seconds };
}

function expectAnswer({ said, seconds }: { said: string; seconds: number }): void {
  expect(said).toMatch(/connection abort|not connected|I\/O error|Input\/output/);
  expect(seconds).toBeLessThan(75);
}

testOnNode("a watchdog process aborts the mount of a stopped server", async () => {
  expectAnswer(await lookAtStopped("--hang-guard", "process"));
});

/** FUSE_REQUEST_TIMEOUT came with Linux 6.14. */
function lacksRequestTimeout(): string | undefined {
  const [major = 0, minor = 0] = release().split(".").map(Number.parseFloat);
  const has = major > 6 || (major === 6 && minor >= 14);
  return has ? undefined : `needs Linux 6.14, this is ${release()}`;
}

testUnless(noPrivateNode() ?? lacksRequestTimeout())(
  "the kernel aborts the mount of a stopped server",
  async () => {
    expectAnswer(await lookAtStopped());
  },
  90_000,
);

testOnNode("the mount of a server in an endless loop is aborted, too", async () => {
  await using node = await PrivateNode.start();
  await node.sh("mount -t fusectl fusectl /sys/fs/fuse/connections");
  const guard = ["--hang-guard", "process", "--request-timeout", "1s"];
  const server = await node.serve("pmxcfs", "-l", "-f", ...guard, "--inject", "statfs:loop=4s");
  await node.sh("echo kept >/etc/pve/f");
  const { stderr } = await node.run(["stat", "-f", "/etc/pve"]);
  expect(stderr).toMatch(/connection abort|not connected/);
  await eventually(
    "mounted again",
    () => server.output().includes("/etc/pve: mounted again"),
    20_000,
  );
  expect(await node.sh("cat /etc/pve/f")).toBe("kept");
});
