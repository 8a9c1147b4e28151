/**
 * The history of a real mount, through the compiled program's commands: who changed a file, its
 * earlier contents, and restoring them. A killed server loses at most the last 0.5 s of it.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(120_000);
const test = testUnless(noPrivateNode());

const GUEST = "nodes/pve1/qemu-server/100.conf";

/** Waits until the output of `history WORDS` matches. */
async function listed(node: PrivateNode, words: string, wanted: RegExp): Promise<string> {
  return await eventually(`history ${words} shows ${wanted}`, async () => {
    const { stdout } = await node.run(["bash", "-c", `pmxcfs-ipc history ${words}`]);
    return wanted.test(stdout) ? stdout : undefined;
  });
}

test("a change is listed with its process, compared, and its old content restored", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh(`cd /etc/pve && mkdir -p nodes/pve1/qemu-server priv
    printf 'name: web\\ncores: 2\\ncipassword: hunter2\\n' > ${GUEST}
    echo TOKEN-SECRET > priv/token.cfg`);
  await listed(node, GUEST, /create +\d+ +bash\[\d+\] uid 0 +nodes\/pve1\/qemu-server\/100\.conf/);
  const before = await node.sh(`sed -n 's/^"version": //p' /dev/null; pmxcfs-ipc history ${GUEST} \
    --json | tail -n 1 | sed 's/.*"version":\\([0-9]*\\).*/\\1/'`);
  await node.sh(`cd /etc/pve && printf 'name: web\\ncores: 8\\ncipassword: other\\n' > x.tmp && \
    mv x.tmp ${GUEST}`);
  await listed(node, GUEST, /replace|rename/);

  const diff = await node.run(["bash", "-c", `pmxcfs-ipc history diff ${GUEST} ${before}..`]);
  expect(diff.stdout).toContain("-cores: 2\n");
  expect(diff.stdout).toContain("+cores: 8\n");
  expect(diff.stdout).not.toContain("hunter2");
  expect(diff.exitCode).toBe(1);

  await node.sh(`rm /etc/pve/${GUEST}`);
  await listed(node, "guest 100", /remove/);
  const old = await node.sh(`pmxcfs-ipc history show ${GUEST}@${before}`);
  expect(old).toBe("name: web\ncores: 2\ncipassword: hunter2");
  expect(await node.sh(`pmxcfs-ipc history restore ${GUEST}@${before}`)).toMatch(/^restored /);
  expect(await node.sh(`cat /etc/pve/${GUEST}`)).toBe(old);
  expect(await node.sh("pmxcfs-ipc call get-guest-list")).toMatch(/100 +qemu +pve1/);

  const page = await node.sh("pmxcfs-ipc history --html /tmp/page.html && cat /tmp/page.html");
  for (const secret of ["hunter2", "TOKEN-SECRET"]) expect(page).not.toContain(secret);
  expect(await node.stop(server)).toBe(0);
  const mode = await node.sh("stat -c %a /var/lib/pve-cluster/history.db");
  expect(mode).toBe("600");
  const raw = await node.sh("cat /var/lib/pve-cluster/history.db | grep -c TOKEN-SECRET || true");
  expect(raw).toBe("0");
});

test("restore leaves what is in its way, and nothing of its own", async () => {
  await using node = await PrivateNode.start();
  await node.serve("pmxcfs", "-l", "-f");
  await node.sh("cd /etc/pve && mkdir d && echo old > d/f && echo old > g");
  const VERSION = /"version":(\d+)/;
  const [, inDirectory = ""] = VERSION.exec(await listed(node, "d/f --json", VERSION)) ?? [];
  const [, ofFile = ""] = VERSION.exec(await listed(node, "g --json", VERSION)) ?? [];
  await node.sh("cd /etc/pve && rm -r d g && echo now > d && mkdir g");
  const below = await node.run(["pmxcfs-ipc", "history", "restore", `d/f@${inDirectory}`]);
  expect(below.stderr).toMatch(/d\/f was not restored: E(?:EXIST|NOTDIR): /);
  expect(below.stderr).not.toContain("guest");
  const over = await node.run(["pmxcfs-ipc", "history", "restore", `g@${ofFile}`]);
  expect(over.stderr).toContain("g was not restored: EISDIR: ");
  expect(await node.sh("cd /etc/pve && cat d && ls -A g && ls | grep tmp || true")).toBe("now");
});

test("control characters of an old version are escaped on a terminal, and only there", async () => {
  await using node = await PrivateNode.start();
  await node.serve("pmxcfs", "-l", "-f");
  await node.sh("printf 'a\\033]0;x\\007b\\n\\tc\\n' > /etc/pve/odd.cfg");
  await listed(node, "odd.cfg", /odd\.cfg/);
  for (const words of [["missing.cfg"], ["missing.cfg", "--json"]]) {
    const none = await node.run(["pmxcfs-ipc", "history", ...words]);
    expect(none).toMatchObject({ exitCode: 1, stdout: "" });
    expect(none.stderr).toBe("the history has no such change\n");
  }
  const { stdout } = await node.run(["pmxcfs-ipc", "history", "show", "odd.cfg"]);
  expect(stdout).toBe("a\u001b]0;x\u0007b\n\tc\n");
  const shown = await node.sh(
    "script -qec 'pmxcfs-ipc history show odd.cfg' /dev/null < /dev/null",
  );
  expect(shown.replaceAll("\r", "")).toContain(String.raw`a\x1b]0;x\x07b` + "\n");
});

test("the tree of an earlier moment is exported, and omitted files are named", async () => {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh(`cd /etc/pve && mkdir -p nodes/pve1/lxc priv && echo a > storage.cfg
    echo b > nodes/pve1/lxc/200.conf && echo s > priv/known_hosts`);
  await listed(node, "", /priv\/known_hosts/);
  const moment = await node.sh("sleep 1.1; date -u +%Y-%m-%dT%H:%M:%SZ; sleep 1.1");
  await node.sh("rm /etc/pve/storage.cfg; echo c > /etc/pve/nodes/pve1/lxc/200.conf");
  await listed(node, "storage.cfg", /remove/);
  const ran = await node.run(["pmxcfs-ipc", "history", `tree@${moment}`, "export", "/tmp/then"]);
  expect(ran.stderr).toBe("left out: priv/known_hosts: its content is not kept\n");
  expect(ran.exitCode).toBe(1);
  const found = await node.sh("cd /tmp/then && find . -type f | sort | xargs head -n 1");
  expect(found).toBe("==> ./nodes/pve1/lxc/200.conf <==\nb\n\n==> ./storage.cfg <==\na");
  expect(await node.stop(server)).toBe(0);
});

test("a killed server loses at most 0.5 s of history, and no change of the tree", async () => {
  await using node = await PrivateNode.start();
  await node.serve("pmxcfs", "-l", "-f");
  await node.sh("for i in $(seq 200); do echo $i > /etc/pve/file$i; done");
  await listed(node, "--most 1000 --json | wc -l", /^2\d\d$/m);
  await node.sh(
    "for i in $(seq 201 400); do echo $i > /etc/pve/file$i; done; pkill -KILL -x pmxcfs",
  );
  const again = await node.serve("pmxcfs", "-l", "-f");
  expect(await node.sh("cat /etc/pve/file400; ls /etc/pve | wc -l")).toBe("400\n404");
  // Changes that the first server did not record are found at the start of the second.
  await listed(node, "file400", /create +4 +(\(found at start\)|bash\[)/);
  expect(await node.sh("pmxcfs-ipc history show file400")).toBe("400");
  expect(await node.stop(again)).toBe(0);
});
