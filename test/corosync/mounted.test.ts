/** Three nodes that are pmxcfs: /etc/pve mounted, served by IPC, replicated by a real corosync. */
import { release } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode } from "../support/private-node.ts";
import { program } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";
import { type ClusterNode, noCluster } from "./support/cluster.ts";
import { limitMs } from "./support/field.ts";
import { METRICS, MountedCluster } from "./support/mounted-cluster.ts";
import { ALL } from "./support/served-cluster.ts";

const reason = noCluster() ?? noPrivateNode();
const test = testUnless(reason);
/** FUSE_NOTIFY_INC_EPOCH came with Linux 6.16; before, names of other nodes are up to 1 s old. */
const [major = 0, minor = 0] = release().split(".").map(Number.parseFloat);
const canExpire = major > 6 || (major === 6 && minor >= 16);
const expiryTest = testUnless(reason ?? (canExpire ? undefined : "needs Linux 6.16"));
/** FUSE_NOTIFY_RESEND came with Linux 6.9. */
const canResend = major > 6 || (major === 6 && minor >= 9);
const resendTest = testUnless(reason ?? (canResend ? undefined : "needs Linux 6.9"));
let mounted: MountedCluster;

beforeAll(async () => {
  if (reason === undefined) mounted = await MountedCluster.up();
}, 120_000);

afterAll(async () => {
  if (reason === undefined) await mounted[Symbol.asyncDispose]();
});

function at(id: number): ClusterNode {
  return mounted.at(id);
}

describe("three nodes with /etc/pve", () => {
  test("a guest removed on one node is found by its number and restored on another", async () => {
    const path = "nodes/n1/qemu-server/4711.conf";
    const made = await at(1).sh(`set -e; cd /etc/pve; mkdir -p nodes/n1/qemu-server
      echo 'name: a' >x.tmp; mv x.tmp ${path}; sleep 1; rm ${path}`);
    expect(made.stderr).toBe("");
    const changes = async (id: number): Promise<Record<string, unknown>[]> => {
      const words = ["history", "guest", "4711", "--json"];
      const { stdout } = await mounted.ours(id, ...words);
      return stdout
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    };
    for (const id of ALL) {
      await eventually(`node ${id} knows both changes`, async () => (await changes(id)).length > 1);
      const kept = await changes(id);
      expect(kept.map(({ node_id }) => node_id)).toEqual([1, 1]);
      // Two changes if the history was written between the create and the rename.
      expect(["replace", "rename"]).toContain(String(kept[0]?.["change"]));
      expect(kept[1]?.["change"]).toBe("remove");
      // The process is known only on the node where it ran, the node on all.
      expect(kept.map(({ command }) => command)).toEqual(id === 1 ? ["mv", "rm"] : [null, null]);
    }
    const version = Number((await changes(3))[0]?.["version"]);
    const back = await mounted.ours(3, "history", "restore", `${path}@${version}`);
    expect(back.stdout).toContain(`restored ${path}`);
    await mounted.sameFiles();
    for (const id of ALL)
      expect((await at(id).sh(`cat /etc/pve/${path}`)).stdout).toBe("name: a\n");
  });

  test("write, append, copy and rename are seen on all nodes", async () => {
    for (const id of ALL) {
      const own = `/etc/pve/own-${id}`;
      const { exitCode, stderr } = await at(id).sh(`set -e
        mkdir ${own}; echo one >${own}/a; echo two >>${own}/a; cp ${own}/a ${own}/b
        echo new >${own}/b.tmp; mv ${own}/b.tmp ${own}/b; mv ${own}/a ${own}/c
        truncate -s 3 ${own}/c; : >${own}/empty; truncate -s 1000 ${own}/empty
        head -c 300000 /dev/urandom >${own}/random`);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    }
    await mounted.sameFiles();
    const refused = await at(1).sh("mkdir /etc/pve/own-2; rmdir /etc/pve/own-3");
    expect(refused.stderr).toContain("File exists");
    expect(refused.stderr).toContain("Directory not empty");
  });

  expiryTest(
    "a name that another node adds or removes is seen at once, not 1 s later",
    async () => {
      await at(1).sh("mkdir /etc/pve/names; echo 0 >/etc/pve/names/a");
      for (let round = 1; round <= 5; round++) {
        // The other node's kernel caches the names before they change.
        await at(2).sh("cat /etc/pve/names/a; ls -l /etc/pve/names");
        await at(1).sh(`echo ${round} >/etc/pve/names/b; mv /etc/pve/names/b /etc/pve/names/a`);
        // Makes sure that it was delivered here: our own change is ordered after it.
        await at(2).sh(`echo ${round} >/etc/pve/names/own`);
        expect((await at(2).sh("cat /etc/pve/names/a")).stdout).toBe(`${round}\n`);
      }
    },
  );

  test("status, members, verification and messages are shown", async () => {
    const status = await mounted.ours(1, "cluster", "status");
    expect(status.stderr).toBe("");
    expect(status.stdout).toContain("cluster test: quorate");
    expect(status.stdout).toContain("3 of 3 members synced");
    expect(status.stdout).toContain("no problem found");
    const members = JSON.parse(
      (await mounted.ours(2, "cluster", "members", "--json")).stdout,
    ) as object[];
    expect(members).toMatchObject([{ id: 1 }, { id: 2, own: true }, { id: 3, reachable: true }]);
    const watch = at(3).start([...program(), "cluster", "watch"]);
    await eventually("a message", async () => {
      await at(1).sh("echo seen >/etc/pve/watched");
      return watch.output.includes("write watched offset 0 bytes 5");
    });
    await watch.stop("SIGKILL");
    expect((await mounted.ours(1, "cluster", "verify")).stdout).toBe(
      "3 members compared their trees\n",
    );
    expect((await mounted.ours(2, "cluster", "verify")).exitCode).toBe(1);
    const top = await mounted.ours(1, "top", "--once");
    expect(top.stdout).toContain("cluster quorate, dcdb synced 3/3, status synced 3/3, 0 changes");
    const scrape = `console.log(await (await fetch("http://${METRICS}/metrics")).text())`;
    const { stdout: metrics } = await at(1).run(process.execPath, "-e", scrape);
    expect(metrics).toContain("pmxcfs_ipc_cluster_quorate 1");
    expect(metrics).toMatch(/pmxcfs_ipc_cluster_group_mode\{[^}]*mode="synced"[^}]*\} 1/);
    expect(metrics).toMatch(/pmxcfs_ipc_cluster_changes_total\{group="dcdb"\} [1-9]/);
    const took = /pmxcfs_ipc_cluster_change_duration_seconds_count\{group="dcdb"\} [1-9]/;
    expect(metrics).toMatch(took);
    expect(top.stdout).toMatch(/changes \d+, p50 \S+, p99 \S+, longest /);
  });
});

describe("quorum", () => {
  test("its loss makes the mount read-only at once, its return writable soon after", async () => {
    mounted.cluster.partition([1, 2], [3]);
    await eventually("alone", async () => !(await at(3).view()).quorate, 30_000);
    await eventually("no write bits", async () => {
      return (await at(3).sh("stat -c %a /etc/pve/local")).stdout === "555\n";
    });
    const refused = await at(3).sh("echo x >/etc/pve/refused");
    expect(refused.stderr).toContain("Permission denied");
    expect((await mounted.ours(3, "cluster", "status")).stdout).toContain("NO QUORUM");
    await eventually("the others go on", async () => {
      return (await at(1).sh("echo two >/etc/pve/without-three")).exitCode === 0;
    });
    mounted.cluster.heal();
    await eventually("quorate", async () => (await at(3).view()).quorate, 30_000);
    const start = performance.now();
    await eventually("writable", async () => {
      return (await at(3).sh("echo back >/etc/pve/back")).exitCode === 0;
    });
    expect(performance.now() - start).toBeLessThan(limitMs(1500));
    await mounted.allOnline();
    await mounted.sameFiles();
  }, 120_000);
});

describe("a server", () => {
  test("that is killed during writes has the others' tree after its restart", async () => {
    const writing = at(2).sh("for i in $(seq 200); do echo $i >/etc/pve/w-$i || exit 1; done");
    await eventually("it writes", async () => {
      return (await at(1).sh("ls /etc/pve")).stdout.includes("w-20");
    });
    await mounted.server(2).stop("SIGKILL");
    await writing;
    await at(2).run("umount", "-l", "/etc/pve");
    await at(1).sh("echo meanwhile >/etc/pve/meanwhile");
    mounted.restart(2);
    await mounted.allOnline();
    await mounted.sameFiles();
    expect((await at(2).sh("cat /etc/pve/meanwhile")).stdout).toBe("meanwhile\n");
  }, 120_000);

  resendTest(
    "that is killed under a service manager fails no change in its mount",
    async () => {
      expect(await mounted.server(2).stop()).toBe(0);
      const script = join(import.meta.dir, "killed.py");
      const ran = await at(2).run("python3", script, "5", ...program(), "pmxcfs", "-f");
      expect(`${ran.stdout}${ran.exitCode === 0 ? "" : ran.stderr}`).toBe("5 kills, no error\n");
      mounted.restart(2);
      await mounted.allOnline();
      await mounted.sameFiles();
    },
    120_000,
  );

  test("that is stopped leaves the groups and unmounts, and the others continue", async () => {
    expect(await mounted.server(3).stop()).toBe(0);
    await eventually("the others see it go", async () => {
      const { stdout } = await mounted.ours(1, "cluster", "members", "--json");
      const rows = JSON.parse(stdout) as { id: number; dcdb?: number }[];
      return rows.find(({ id }) => id === 3)?.dcdb === undefined;
    });
    expect((await at(1).sh("echo on >/etc/pve/without-3")).exitCode).toBe(0);
    mounted.restart(3);
    await mounted.allOnline();
    await mounted.sameFiles();
  }, 120_000);
});
