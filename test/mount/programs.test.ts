/**
 * Editors, rsync, git and similar programs work on the mount as on any file system: checks the
 * files they leave (contents, modes, no temporary files) and the rows of config.db. Where the mount
 * refuses a call, checks the program's message and what it does then.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { noPrivateNode, PrivateNode, type Running } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const PROGRAMS = ["rsync", "vim", "git", "nano", "ed", "sed", "perl", "tar", "tmux", "sqlite3"];

function missing(): string | undefined {
  const program = PROGRAMS.find((name) => Bun.which(name) === null);
  return noPrivateNode() ?? (program === undefined ? undefined : `needs ${program}`);
}

const reason = missing();
const testPrograms = testUnless(reason);

let node: PrivateNode;
let server: Running;

beforeAll(async () => {
  if (reason !== undefined) return;
  node = await PrivateNode.start();
  server = await node.serve("pmxcfs", "-l", "-f");
  // An empty home directory and a private tmux socket: no user's settings apply.
  await node.sh("mkdir -p /run/home && mkdir -m 700 /run/tmux");
});

afterAll(async () => {
  if (reason !== undefined) return;
  expect(await node.stop(server)).toBe(0);
  await node[Symbol.asyncDispose]();
});

/** Runs a script in a new directory of the mount. */
async function inDirectory(name: string, script: string): Promise<string> {
  const environment = "export HOME=/run/home TMUX_TMPDIR=/run/tmux TERM=xterm LC_ALL=C.UTF-8 LANG=";
  return await node.sh(
    `${environment}; mkdir -p /etc/pve/${name} && cd /etc/pve/${name}; ${script}`,
  );
}

/** Names, modes and sizes of the files in the directory; checks that config.db has the same. */
async function entries(name: string): Promise<string[]> {
  const query =
    "WITH RECURSIVE at(inode, path) AS (SELECT inode, '' FROM tree WHERE parent = 0 " +
    `AND name = '${name}' UNION ALL SELECT t.inode, path || '/' || name FROM tree t JOIN at ` +
    "ON t.parent = at.inode AND t.inode <> 0) SELECT substr(path, 2) || ' ' || " +
    "coalesce(length(data), 0) FROM at JOIN tree USING (inode) WHERE path <> '' ORDER BY 1";
  const rows = await node.sh(`sqlite3 -readonly /var/lib/pve-cluster/config.db "${query}"`);
  const seen = await node.sh(`cd /etc/pve/${name} && find . -mindepth 1 -printf '%P %m %y %s\\n'`);
  const lines = seen
    .split("\n")
    .filter((line) => line !== "")
    .toSorted();
  const asRows = lines.map((line) =>
    line.replace(/ \S+ (?:d \d+|f (\d+))$/, (_all, size) => ` ${size ?? 0}`),
  );
  expect(asRows.toSorted()).toEqual(
    rows
      .split("\n")
      .filter((row) => row !== "")
      .toSorted(),
  );
  return lines.filter((line) => !line.includes(" d "));
}

/** Replaces `old` by `text` in the file `v` with vim. */
const edit = (settings: string, text: string): string =>
  `vim -N -u NONE -i NONE -n -es --cmd '${settings}' -c '%s/old/${text}/' -c 'wq' v`;
/** Waits until a shell condition holds, or the test times out. */
const wait = (condition: string): string => `until ${condition}; do :; done`;
const screen = (text: string): string => `tmux capture-pane -p -t n | grep -q '${text}'`;

testPrograms(
  "vim replaces a file, with and without backups, and leaves no other file",
  async () => {
    const script =
      `echo old >v; ${edit("set nowritebackup", "a old")}; ` +
      `${edit("set writebackup backupcopy=no", "b old")}; ` +
      `${edit("set backup backupcopy=no", "c old")}; cat v v~`;
    expect(await inDirectory("vim", script)).toBe("a b c old\na b old");
    expect(await entries("vim")).toEqual(["v 640 f 10", "v~ 640 f 8"]);
  },
);

testPrograms(
  "vim's swap file exists beside the file while it is open, and not afterwards",
  async () => {
    const script =
      `echo old >s; vim -N -u NONE -i NONE -es --cmd 'set swapfile directory=.' ` +
      `-c 'call system("ls -A >/tmp/while-open")' -c 's/old/new/' -c 'wq' s; ` +
      "cat s; cat /tmp/while-open";
    expect((await inDirectory("swap", script)).split("\n")).toEqual(["new", ".s.swp", "s"]);
    expect(await entries("swap")).toEqual(["s 640 f 4"]);
  },
);

testPrograms("a vim that is killed leaves a swap file from which vim recovers", async () => {
  const script =
    "echo old >r; vim -N -u NONE -i NONE -es --cmd 'set swapfile directory=.' " +
    "-c 's/old/unsaved/' -c 'preserve' -c 'call system(\"kill -9 \" . getpid())' r; " +
    "vim -N -u NONE -i NONE -es --cmd 'set directory=.' -r r -c 'wq! recovered'; " +
    "cat recovered; rm .r.swp";
  expect(await inDirectory("recover", script)).toBe("unsaved");
  expect(await entries("recover")).toEqual(["r 640 f 4", "recovered 640 f 8"]);
});

testPrograms("nano writes in place, and makes its backup in the same directory", async () => {
  const script =
    `echo old >n; tmux -f /dev/null new-session -d -s n 'nano -I -B n'; ${wait(screen("old"))}; ` +
    `tmux send-keys -t n 'new '; ${wait(screen("new old"))}; tmux send-keys -t n C-s; ` +
    `${wait("grep -q new n")}; tmux send-keys -t n C-x; ` +
    `${wait("! tmux has-session -t n 2>/dev/null")}; cat n n~`;
  expect(await inDirectory("nano", script)).toBe("new old\nold");
  expect(await entries("nano")).toEqual(["n 640 f 8", "n~ 640 f 4"]);
});

testPrograms("ed, sed -i and perl -i change a file, and leave no temporary file", async () => {
  const script =
    "echo 1 >f; printf '%s\\n' '1s/1/2/' w q | ed -s f; sed -i.bak s/2/3/ f; " +
    "perl -i.orig -pe s/3/4/ f; sed -i s/4/5/ f; perl -i -pe s/5/6/ f; cat f f.bak f.orig";
  expect(await inDirectory("streams", script)).toBe("6\n2\n3");
  expect(await entries("streams")).toEqual(["f 640 f 2", "f.bak 640 f 2", "f.orig 640 f 2"]);
});

testPrograms(
  "rsync copies a tree to the mount and back, and updates and deletes files",
  async () => {
    const script =
      "o='-rt --chmod=D755,F640'; mkdir -p /tmp/from/d/e; echo one >/tmp/from/one; " +
      "echo two >/tmp/from/d/two; " +
      "head -c 200000 /dev/urandom >/tmp/from/d/e/large; " +
      "rsync $o /tmp/from/ . && echo three >/tmp/from/one && rm /tmp/from/d/two && " +
      "rsync $o --delete /tmp/from/ . && " +
      "dd if=/dev/zero of=/tmp/from/d/e/large bs=10 count=3 seek=500 conv=notrunc status=none && " +
      "rsync $o -I --no-whole-file /tmp/from/ . && " +
      "rsync $o -I --inplace --no-whole-file /tmp/from/ . && " +
      "rsync -rt ./ /tmp/back/ && diff -r /tmp/from /tmp/back && " +
      "rsync $o -n --delete -i /tmp/from/ . && echo equal";
    expect(await inDirectory("rsync", script)).toBe("equal");
    expect(await entries("rsync")).toEqual(["d/e/large 640 f 200000", "one 640 f 6"]);
  },
);

testPrograms("rsync -a copies no file, as it may not set modes, and leaves none", async () => {
  const script =
    "mkdir -p /tmp/owned; echo x >/tmp/owned/x; chmod 755 /tmp/owned/x; echo y >/tmp/owned/y; " +
    "chmod 640 /tmp/owned/y; rsync -a --no-group /tmp/owned/ . 2>&1";
  const said = await inDirectory("rsync-a", `${script}; echo $?`);
  expect(said).toMatch(/mkstemp ".*" failed: Operation not permitted \(1\)/);
  expect(said.split("\n").at(-1)).toBe("23");
  expect(await entries("rsync-a")).toEqual([]);
  // The options that docs/mount.md recommends.
  await inDirectory("rsync-a", "rsync -rt --chmod=D755,F640 /tmp/owned/ .");
  expect(await entries("rsync-a")).toEqual(["x 640 f 2", "y 640 f 2"]);
});

testPrograms(
  "git add, commit, checkout, merge and gc work in a repository on the mount",
  async () => {
    const script = `
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b
export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
git init -q -b main .
echo 1 >f; git add f && git commit -qm one
git checkout -q -b side && echo 2 >g && git add g && git commit -qm two
git checkout -q main && [ ! -e g ] && echo 3 >f && git commit -qam three
git merge -q side -m merged && git status --porcelain
git fsck --strict 2>&1 && git log --oneline | wc -l
git mv f moved && git rm -q g && git commit -qm moved
git gc -q 2>&1; git fsck --strict 2>&1
ls; find .git -name "*.lock" -o -name "tmp_*"`;
    expect(await inDirectory("git", script)).toBe("4\nmoved");
    expect(await entries("git")).toContain("moved 640 f 2");
  },
);

testPrograms("tar writes an archive on the mount and extracts it there", async () => {
  const script =
    "mkdir -p /tmp/t/d; echo t >/tmp/t/d/t; chmod 640 /tmp/t/d/t; chown 0:33 /tmp/t/d/t; " +
    "tar cf a.tar -C /tmp t && tar xf a.tar --no-same-permissions 2>&1; " +
    // Not `tar d`: the mount has its own times, as in C.
    "cat t/d/t; tar xOf a.tar t/d/t | cmp - t/d/t && rm a.tar";
  expect(await inDirectory("tar", script)).toContain("t");
  expect(await entries("tar")).toEqual(["t/d/t 640 f 2"]);
});
