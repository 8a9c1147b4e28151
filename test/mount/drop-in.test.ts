/**
 * The program under the name pmxcfs, as units, recipes and administrators use it: command line,
 * daemon, pid and lock files, start over a dead mount, refusals, stop. Each test has its own node.
 */
import { describe, expect } from "bun:test";
import { stat } from "node:fs/promises";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const testOnNode = testUnless(noPrivateNode());

const COROSYNC_CONF = (version: number): string => `totem {
  cluster_name: lab
  config_version: ${version}
  version: 2
}
nodelist {
  node {
    name: pve1
    nodeid: 1
    quorum_votes: 1
    ring0_addr: 192.0.2.11
  }
}
`;

async function write(node: PrivateNode, path: string, text: string): Promise<void> {
  await Bun.write(node.path(path), text);
}

describe("the command line", () => {
  const cases: readonly (readonly [words: string, exitCode: number, text: string])[] = [
    ["-x", 1, "[main] crit: option parsing failed: Unknown option -x\n"],
    ["--foo", 1, "[main] crit: option parsing failed: Unknown option --foo\n"],
    ["-lx", 1, "[main] crit: option parsing failed: Unknown option -lx\n"],
    ["extra", 255, "[main] crit: too many arguments\n"],
    ["-l extra", 255, "[main] crit: too many arguments\n"],
  ];
  for (const [words, exitCode, text] of cases) {
    testOnNode(`pmxcfs ${words} ends with ${exitCode}, as C's`, async () => {
      await using node = await PrivateNode.start();
      const ran = await node.run(["pmxcfs", ...words.split(" ")]);
      expect([ran.exitCode, ran.stderr]).toEqual([exitCode, text]);
    });
  }

  testOnNode("pmxcfs -h shows C's options", async () => {
    await using node = await PrivateNode.start();
    const { exitCode, stdout } = await node.run(["pmxcfs", "-h"]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain(
      "  -l, --local          Force local mode (ignore corosync.conf, force quorum)",
    );
  });
});

describe("the daemon", () => {
  testOnNode("the command returns when the mount answers, and keeps no descriptor", async () => {
    await using node = await PrivateNode.start();
    // $(...) ends only when no process has the other end of the pipe open.
    const said = await node.sh('said=$(pmxcfs -l 2>&1); readlink /etc/pve/local; echo "$said"');
    const resolved = "[main] notice: resolved node name 'pve1' to '192.0.2.11'";
    expect(said).toStartWith(`nodes/pve1\n${resolved}`);
    const pid = await node.sh("cat /run/pve-cluster.pid");
    expect(await node.sh("pgrep -x pmxcfs")).toBe(pid);
    expect(await node.sh("stat -c '%a %U %G' /run/pve-cluster.pid")).toBe("644 root root");
    expect(await node.sh(`readlink /proc/${pid}/fd/[012] /proc/${pid}/cwd`)).toBe(
      "/dev/null\n/dev/null\n/dev/null\n/",
    );
    await node.sh("killall pmxcfs; while pgrep -x pmxcfs; do :; done");
    expect(await node.sh("ls -A /var/lib/pve-cluster /etc/pve /run | xargs")).not.toContain("-wal");
    expect(await node.sh("stat -c '%a %U %G %s' /run/pve-cluster/cfs-restart-flag")).toBe(
      "440 root www-data 0",
    );
    expect(await node.sh("ls /run/pve-cluster.pid; grep -c /etc/pve /proc/mounts; true")).toBe("0");
  });

  testOnNode("paths of options count from the directory that it was started in", async () => {
    await using node = await PrivateNode.start();
    await node.sh("mkdir /tmp/here; cd /tmp/here; pmxcfs -l --history kept.db");
    // The history is opened by a thread; the command does not wait for it.
    await eventually("the history is there", async () =>
      (await node.sh("ls /tmp/here")).startsWith("kept.db"),
    );
    expect(await node.sh("readlink /proc/$(cat /run/pve-cluster.pid)/cwd")).toBe("/");
    await node.sh("killall pmxcfs; while pgrep -x pmxcfs; do :; done");
  });

  testOnNode(
    "under Type=notify it stays in the foreground and sends READY once mounted",
    async () => {
      await using node = await PrivateNode.start();
      const script = `
import os, socket, subprocess
os.environ["NOTIFY_SOCKET"] = "/tmp/notify"
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/tmp/notify")
p = subprocess.Popen(["pmxcfs", "-l"])
said = ""
while not said.startswith("READY"):
    said = s.recv(100).decode()
print(said.split("\\n")[0], os.readlink("/etc/pve/local"), p.poll())
p.terminate()
while not said.startswith("STOPPING"):
    said = s.recv(100).decode()
print(said, p.wait())
`;
      await write(node, "/tmp/notify.py", script);
      expect(await node.sh("python3 /tmp/notify.py 2>/dev/null")).toBe(
        "READY=1 nodes/pve1 None\nSTOPPING=1 0",
      );
    },
  );

  testOnNode("an unmount by hand ends the server cleanly", async () => {
    await using node = await PrivateNode.start();
    const server = await node.serve("pmxcfs", "-l", "-f");
    await node.sh("echo kept >/etc/pve/f; umount /etc/pve");
    expect(await server.child.exited).toBe(0);
    expect(server.output()).toContain("/etc/pve was unmounted");
    expect(
      await node.sh(
        "sqlite3 /var/lib/pve-cluster/config.db 'select data from tree where name=\"f\"'",
      ),
    ).toBe("kept");
  });
});

/** The messages of a second start while the first server, which is stopped, has the database. */
async function refused(prepare: string): Promise<string> {
  await using node = await PrivateNode.start();
  await node.sh("pmxcfs -l; echo first >/etc/pve/f");
  const pid = await node.sh("cat /run/pve-cluster.pid");
  // A stopped server cannot make its lock file again; nothing may access the mount meanwhile.
  const script = `kill -STOP ${pid}; ${prepare}; timeout 20 pmxcfs -l; echo $?; kill -CONT ${pid}`;
  const said = await node.run(["bash", "-c", script]);
  expect(said.stdout).toBe("255\n");
  expect(await node.sh("cat /etc/pve/f; pgrep -x pmxcfs")).toBe(`first\n${pid}`);
  // flock(1) would make a missing file.
  const locked = "cd /var/lib/pve-cluster; [ -e $0 ] && { flock -n -E 75 $0 true; [ $? = 75 ]; }";
  await eventually("the lock file is there again", async () => {
    return (await node.run(["bash", "-c", locked, ".pmxcfs.lockfile"])).exitCode === 0;
  });
  return said.stderr.replaceAll(`pid ${pid}`, "pid N");
}

describe("two servers on one database", () => {
  testOnNode(
    "the recipe that resets a node works 20 times in a row, without sleeps",
    async () => {
      await using node = await PrivateNode.start();
      await write(node, "/etc/corosync/corosync.conf", COROSYNC_CONF(1));
      await node.sh("pmxcfs && ls /etc/pve/corosync.conf && killall pmxcfs");
      const block =
        "pmxcfs -l && rm -f /etc/pve/corosync.conf && killall pmxcfs && pmxcfs && killall pmxcfs";
      await node.sh(`set -e; for i in $(seq 20); do ${block}; done 2>&1`, 60_000);
      await node.sh("pmxcfs; touch /etc/pve/writable");
      expect(await node.sh("pgrep -cx pmxcfs")).toBe("1");
      await node.sh("killall pmxcfs; while pgrep -x pmxcfs; do :; done");
      expect(await node.sh("sqlite3 /var/lib/pve-cluster/config.db 'pragma integrity_check'")).toBe(
        "ok",
      );
    },
    90_000,
  );

  testOnNode(
    "a start is refused while a server runs, even if a recipe removed the lock file",
    async () => {
      const [locked, unlocked] = await Promise.all([
        refused(":"),
        refused("rm /var/lib/pve-cluster/.pmxcfs.lockfile"),
      ]);
      expect(locked).toContain("unable to acquire pmxcfs lock: Resource temporarily unavailable\n");
      for (const text of [locked, unlocked]) {
        expect(text).toMatch(
          /another pmxcfs \(pid N, since [\dTZ:.-]+, started by hand with -l\) uses \S+config.db/,
        );
      }
    },
    60_000,
  );
});

describe("starting", () => {
  testOnNode("a dead mount with a shell in it is unmounted, and the new mount works", async () => {
    await using node = await PrivateNode.start();
    await node.sh("pmxcfs -l; mkdir /etc/pve/d; echo kept >/etc/pve/d/f");
    const shell = node.spawn(["sh", "-c", "cd /etc/pve/d && exec sleep infinity"]);
    await eventually("the shell is inside", async () =>
      (await node.run(["sh", "-c", "readlink /proc/$(pgrep -x sleep -n)/cwd"])).stdout.includes(
        "/etc/pve/d",
      ),
    );
    await node.sh("killall -9 pmxcfs; while pgrep -x pmxcfs; do :; done");
    expect((await node.run(["stat", "/etc/pve"])).stderr).toContain("not connected");
    await node.sh("pmxcfs -l");
    expect(await node.sh("cat /etc/pve/d/f; grep -c ' /etc/pve fuse ' /proc/mounts")).toBe(
      "kept\n1",
    );
    shell.child.kill();
  });

  const refusals: readonly (readonly [name: string, prepare: string, text: string])[] = [
    [
      "a mount point that is not empty",
      "touch /etc/pve/mine",
      "mountpoint is not empty\n[main] crit: fuse_mount error: File exists",
    ],
    [
      "a mount point that is a file",
      "rmdir /etc/pve; touch /etc/pve",
      "fuse_mount error: Not a directory",
    ],
    ["no group www-data", "sed -i /www-data/d /etc/group", "Unable to get www-data group ID"],
    [
      "a node name that resolves only to a loopback address",
      "sed -i s/192.0.2.11/127.0.1.1/ /etc/hosts",
      "Unable to resolve node name 'pve1' to a non-loopback IP address",
    ],
    [
      "no /dev/fuse",
      "mount -t tmpfs tmpfs /dev; mknod /dev/null c 1 3; mknod /dev/urandom c 1 9; mkdir /dev/shm",
      "--device /dev/fuse --cap-add SYS_ADMIN",
    ],
    [
      "a file that is not a database",
      "mkdir -p /var/lib/pve-cluster; echo $(seq 999) >/var/lib/pve-cluster/config.db",
      "memdb_open failed - unable to open database '/var/lib/pve-cluster/config.db'",
    ],
  ];
  for (const [name, prepare, text] of refusals) {
    testOnNode(`${name} is refused with 255 and the reason`, async () => {
      await using node = await PrivateNode.start();
      await node.sh(prepare);
      const { exitCode, stderr } = await node.run(["pmxcfs", "-l"]);
      expect(stderr).toContain(text);
      expect(exitCode).toBe(255);
      expect((await node.run(["grep", "/etc/pve", "/proc/mounts"])).stdout).toBe("");
    });
  }

  testOnNode("a server in its own mount namespace logs a warning", async () => {
    await using node = await PrivateNode.start();
    const said = await node.sh("unshare -m pmxcfs -l 2>&1; killall pmxcfs");
    expect(said).toContain("/etc/pve is mounted in a mount namespace of this server's own");
  });

  testOnNode("serve --mount refuses its own paths below the mount", async () => {
    await using node = await PrivateNode.start();
    for (const [option, value] of [
      ["--status", "/etc/pve/status"],
      ["--metrics", "unix:/etc/pve/metrics"],
    ] as const) {
      const words = ["pmxcfs-ipc", "serve", "--mount", "--local", option, value];
      // A server that starts is killed.
      const { exitCode, stderr } = await node.run(["timeout", "-s", "KILL", "10", ...words]);
      const path = value.replace("unix:", "");
      expect(stderr).toContain(`${path} is below the mount point /etc/pve`);
      expect(exitCode).toBe(1);
    }
  });
});

describe("corosync.conf", () => {
  testOnNode("a new node imports the host's, and is not quorate without corosync", async () => {
    await using node = await PrivateNode.start();
    await write(node, "/etc/corosync/corosync.conf", COROSYNC_CONF(3));
    await node.sh("pmxcfs");
    expect(
      await node.sh(
        "cmp /etc/pve/corosync.conf /etc/corosync/corosync.conf; stat -c %a /etc/pve/local",
      ),
    ).toBe("555");
    expect((await node.run(["touch", "/etc/pve/f"])).stderr).toContain("Permission denied");
  });

  testOnNode("at the start, an older one of the host is replaced, a newer one stays", async () => {
    await using node = await PrivateNode.start();
    await write(node, "/etc/corosync/corosync.conf", COROSYNC_CONF(3));
    await node.sh("pmxcfs; killall pmxcfs; while pgrep -x pmxcfs; do :; done");
    const host = "/etc/corosync/corosync.conf";
    await write(node, host, COROSYNC_CONF(2));
    await node.sh("pmxcfs; killall pmxcfs; while pgrep -x pmxcfs; do :; done");
    expect(await Bun.file(node.path(host)).text()).toBe(COROSYNC_CONF(3));
    expect((await stat(node.path(host))).mode & 0o777).toBe(0o644);
    await write(node, host, COROSYNC_CONF(4));
    expect(await node.sh("pmxcfs 2>&1 | grep newer")).toContain("local corosync.conf is newer");
    expect(await Bun.file(node.path(host)).text()).toBe(COROSYNC_CONF(4));
  });
});
