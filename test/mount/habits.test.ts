/**
 * What PVE's tools, administrators and backup programs do in /etc/pve, tested with the tools
 * themselves (editors, rsync, git: programs.test.ts): the rows of the tables in docs/mount.md, each
 * with the tool's output.
 */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";
import { noPrivateNode, PrivateNode, type Running } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const reason = noPrivateNode();
const testOnNode = testUnless(reason);

let node: PrivateNode;
let server: Running;

beforeAll(async () => {
  if (reason !== undefined) return;
  node = await PrivateNode.start();
  server = await node.serve("pmxcfs", "-l", "-f");
  await node.sh("mkdir -p /etc/pve/priv/lock /etc/pve/nodes/pve1/qemu-server /etc/pve/h");
});

afterAll(async () => {
  if (reason !== undefined) return;
  expect(await node.stop(server)).toBe(0);
  await node[Symbol.asyncDispose]();
});

interface Habit {
  readonly name: string;
  /** Runs in the directory /etc/pve/h. */
  readonly script: string;
  readonly prints: string;
}

const works: readonly Habit[] = [
  { name: "cp", script: "cp /etc/hostname c && cmp /etc/hostname c && echo ok", prints: "ok" },
  { name: "mv within", script: "echo x >m1; mv m1 m2; cat m2", prints: "x" },
  {
    name: "mv over an existing file",
    script: "echo new >n; echo old >o; mv n o; cat o",
    prints: "new",
  },
  { name: ">>", script: "echo 1 >a; echo 2 >>a; cat a", prints: "1\n2" },
  { name: "install -m 640", script: "echo i >/tmp/i; install -m 640 /tmp/i i; cat i", prints: "i" },
  {
    name: "os.replace",
    script: 'echo r >r1; python3 -c \'import os; os.replace("r1", "r2")\'; cat r2',
    prints: "r",
  },
  {
    name: "truncate -s of an empty file, which crashes C",
    script: ": >t; truncate -s 5 t; od -An -tx1 t",
    prints: " 00 00 00 00 00",
  },
  { name: "find", script: "mkdir -p f/g; touch f/g/h; find f | sort", prints: "f\nf/g\nf/g/h" },
  { name: "flock", script: "touch l; flock l sh -c 'flock -n l true; echo $?'", prints: "1" },
  {
    name: "an editor that writes in place",
    script:
      'echo long line >e; python3 -c \'f = open("e", "r+"); f.write("new"); f.truncate()\'; cat e',
    prints: "new",
  },
  {
    name: "du counts real blocks",
    script: "head -c 8192 /dev/zero >d; du --block-size=1 d | cut -f1",
    prints: "8192",
  },
  {
    name: "Perl's file_set_contents",
    script: `perl -e 'use Fcntl; my $f = "p"; sysopen(my $h, "$f.tmp.$$", O_WRONLY|O_CREAT|O_EXCL, 0644) or die $!; my @s = stat($h); printf("%04o\\n", $s[2] & 07777); syswrite($h, "content\\n") or die $!; close($h) or die $!; rename("$f.tmp.$$", $f) or die $!;'; cat p`,
    prints: "0640\ncontent",
  },
  {
    name: "Perl's cfs_lock",
    script: `perl -e 'my $l = "/etc/pve/priv/lock/file-x"; mkdir $l or die $!; print mkdir($l) ? "twice" : "$!"; print utime(0, 0, $l) ? " given" : " $!"; rmdir $l or die $!; print "\\n"'`,
    prints: "File exists Permission denied",
  },
  {
    name: "a file stays readable after it was removed",
    script: "echo kept >k; exec 3<k; rm k; cat <&3; ls -A | grep -c fuse_hidden; true",
    prints: "kept\n0",
  },
  {
    name: "500 writers at once",
    script:
      "mkdir w; for i in $(seq 500); do echo $i >w/$i & done; wait; cat w/* | sort -n | uniq | wc -l; rm -r w",
    prints: "500",
  },
];

/** Refused, as on the C server: the tool's message with the errno, and what the tool does then. */
const refused: readonly Habit[] = [
  {
    name: "ln",
    script: "touch x; ln x y",
    prints: "ln: failed to create hard link 'y' => 'x': Operation not permitted",
  },
  {
    name: "ln -s",
    script: "ln -s x y",
    prints: "ln: failed to create symbolic link 'y': Function not implemented",
  },
  {
    name: "chmod 644",
    script: "touch x; chmod 644 x",
    prints: "chmod: changing permissions of 'x': Operation not permitted",
  },
  {
    name: "chmod +x",
    script: "touch x; chmod u+x x",
    prints: "chmod: changing permissions of 'x': Operation not permitted",
  },
  {
    name: "chown",
    script: "touch x; chown 1000 x",
    prints: "chown: changing ownership of 'x': Operation not permitted",
  },
  {
    name: "mkfifo",
    script: "mkfifo y",
    prints: "mkfifo: cannot create fifo 'y': Function not implemented",
  },
  {
    name: "a file of more than 1 MiB",
    script: "head -c 1048577 /dev/zero >big",
    prints: ": File too large",
  },
  {
    name: "running a script",
    script: "printf '#!/bin/sh\\n' >run; ./run",
    prints: "./run: Permission denied",
  },
  {
    name: "xattr",
    script: 'touch x; python3 -c \'import os; os.setxattr("x", "user.a", b"1")\' 2>&1 | tail -n 1',
    prints: "OSError: [Errno 95] Operation not supported: 'x'",
  },
  {
    name: "a write to a dot file",
    script: "echo x >/etc/pve/.version",
    prints: "bash: line 1: /etc/pve/.version: Input/output error",
  },
  {
    name: "rm of a special entry",
    script: "rm /etc/pve/local",
    prints: "rm: cannot remove '/etc/pve/local': Permission denied",
  },
  {
    name: "stat of a working directory that was removed",
    script: "mkdir gone; cd gone; rmdir ../gone; stat --cached=never .",
    prints: "stat: cannot statx '.': No such file or directory",
  },
  {
    name: "a second guest with the same number",
    script:
      "touch ../nodes/pve1/qemu-server/100.conf; mkdir -p ../nodes/pve2/lxc; touch ../nodes/pve2/lxc/100.conf",
    prints: "touch: cannot touch '../nodes/pve2/lxc/100.conf': File exists",
  },
  {
    name: "cp -a from a file of another owner and mode",
    script: "touch /tmp/own; chown 1000 /tmp/own; cp -a /tmp/own own; ls own",
    prints: "cp: failed to preserve ownership for 'own': Operation not permitted\nown",
  },
  {
    name: "mv from another file system keeps the content",
    script: "echo moved >/tmp/mine; mv /tmp/mine mine; cat mine",
    prints: "Operation not permitted\nmoved",
  },
];

describe("what works", () => {
  for (const { name, script, prints } of works) {
    testOnNode(name, async () => {
      expect(await node.sh(`cd /etc/pve/h; ${script}`)).toBe(prints.trim());
    });
  }
});

describe("what does not work, and the tool's message", () => {
  for (const { name, script, prints } of refused) {
    testOnNode(name, async () => {
      const ran = await node.run(["bash", "-c", `cd /etc/pve/h; ${script}`]);
      // A message about an owner that could not be kept may have more than one line.
      expect(`${ran.stderr}${ran.stdout}`.trim()).toContain(prints);
    });
  }
});

testOnNode("the log names the file that has a refused guest's number", () => {
  expect(server.output()).toContain(
    'nodes/pve2/lxc/100.conf is refused with "File exists": guest 100 is at ' +
      "nodes/pve1/qemu-server/100.conf",
  );
});

testOnNode("tar and cp -a of the whole mount succeed while .rrd changes", async () => {
  const change =
    "i=0; while [ ! -e /tmp/stop ]; do i=$((i + 1)); " +
    "pmxcfs-ipc call set-status rrd/pve-vm-9.0/100 --data " +
    "$(printf %0$((i % 9 * 50 + 10))d 1) >/dev/null; done";
  const changing = node.spawn(["bash", "-c", change]);
  const times = process.env["PMXCFS_SLOW_TESTS"] === undefined ? 50 : 200;
  const script = `
pack() { tar cf /tmp/all.tar -C /etc pve 2>>/tmp/said; }
for i in $(seq ${times}); do pack || echo failed; done | wc -l
cp -a /etc/pve /tmp/copy && echo copied
tar xf /tmp/all.tar -C /tmp && od -An -c /tmp/pve/.rrd /tmp/pve/.version | grep -c '\\\\0'
touch /tmp/stop`;
  const [failures, copied, padding] = (await node.sh(`${script}; true`, 55_000)).split("\n");
  await changing.child.exited;
  expect(Number(failures)).toBeLessThanOrEqual(1);
  expect([copied, padding]).toEqual(["copied", "0"]);
});

testOnNode(
  "an archive of the mount extracted over it restores files; tar reports the special ones",
  async () => {
    await node.sh(
      "cd /etc/pve/h; echo before >back; tar cf /tmp/h.tar -C /etc pve; echo after >back",
    );
    const { stderr } = await node.run(["tar", "xf", "/tmp/h.tar", "-C", "/etc"]);
    expect(stderr).toContain(".version");
    expect(await node.sh("cat /etc/pve/h/back")).toBe("before");
  },
);

testOnNode("a lock can be refreshed as soon as it is made, at any moment of a second", async () => {
  const script = `
import os, time
lock, failed = "/etc/pve/priv/lock/soon", 0
end = time.monotonic() + 3
while time.monotonic() < end:
    os.mkdir(lock)
    try:
        # The kernel's present time, which may be a few ms behind time.time().
        os.utime(lock)
    except PermissionError:
        failed += 1
    os.rmdir(lock)
print(failed)`;
  expect((await node.run(["python3", "-c", script])).stdout).toBe("0\n");
});

testOnNode(
  "random operations from four processes leave tree and database equal to the model",
  async () => {
    await using own = await PrivateNode.start();
    const other = await own.serve("pmxcfs", "-l", "-f");
    const operations = process.env["PMXCFS_STRESS_OPERATIONS"] ?? "4000";
    const seed = String(Math.floor(Math.random() * 1e6));
    const script = join(REPOSITORY, "test", "mount", "stress.py");
    expect(await own.sh(`python3 ${script} ${operations} ${seed} 2>&1`, 600_000)).toMatch(/equal$/);
    expect(await own.stop(other)).toBe(0);
  },
);
