/**
 * Sockets and files whose directories belong to somebody else, who changes them while root's server
 * runs: no mode, no file and no removal of ours goes where a link leads.
 */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createLog } from "../../src/base/log.ts";
import { PidFile } from "../../src/daemon/node/pid-file.ts";
import { keepTextfile } from "../../src/observe/endpoint.ts";
import { MetricRegistry } from "../../src/observe/registry.ts";
import { readStatus } from "../../src/observe/read-status.ts";
import { listenAtPath, SocketMask } from "../../src/observe/unix-path.ts";
import { makePrivate } from "../../src/platform/regular-file.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
import { needRoot, ROOT, WWW_DATA } from "../support/identity.ts";
import { listenFull } from "../support/full-listener.ts";

function listening(path: string) {
  return listenAtPath(path, SocketMask.OWNER, (opened) =>
    Bun.listen({ unix: opened, socket: { data() {} } }),
  );
}

/** Puts a link to `target` in the place of a directory, as its owner can at any time. */
function lead(directory: string, target: string): void {
  renameSync(directory, `${directory}.moved`);
  symlinkSync(target, directory);
}

test("a socket has its mode from the bind, and is removed where it was made", async () => {
  using directory = new TempDirectory();
  mkdirSync(directory.at("theirs"));
  mkdirSync(directory.at("roots"));
  const victim = directory.put("roots/status", "root's");
  const listener = await listening(directory.at("theirs/status"));
  if (typeof listener === "string") throw new Error(listener);
  expect(lstatSync(directory.at("theirs/status")).mode & 0o777).toBe(0o600);
  lead(directory.at("theirs"), "roots");
  listener.close();
  expect(readFileSync(victim, "utf8")).toBe("root's");
  expect(existsSync(directory.at("theirs.moved/status"))).toBe(false);
});

test("other files and live sockets are left alone; a dead socket is replaced", async () => {
  using directory = new TempDirectory();
  const path = directory.at("status");
  writeFileSync(path, "text");
  expect(await listening(path)).toBe(`${path} exists and is not a socket`);
  symlinkSync("status", directory.at("link"));
  expect(await listening(directory.at("link"))).toContain("is not a socket");
  const first = await listening(directory.at("live"));
  if (typeof first === "string") throw new Error(first);
  expect(await listening(directory.at("live"))).toContain("another process already has the socket");
  // Its name goes away without it: a dead server's socket.
  renameSync(directory.at("live"), directory.at("dead"));
  first.close();
  const second = await listening(directory.at("dead"));
  if (typeof second === "string") throw new Error(second);
  second.close();
  expect(await listening(directory.at("none/status"))).toContain("cannot listen on");
});

test("a server that hangs with a full queue is not taken for a dead one", async () => {
  using directory = new TempDirectory();
  const path = directory.at("status");
  await using server = await listenFull(path);
  expect(await listening(path)).toBe(`another process already has the socket ${path}`);
  expect(await readStatus(path)).toBe(
    `${path}: the server hangs or is stopped: its queue of connections is full`,
  );
  await server.kill();
  expect(await readStatus(path)).toContain("no process listens");
  const listener = await listening(path);
  if (typeof listener === "string") throw new Error(listener);
  listener.close();
});

test("a socket of another user stays: whether it is in use cannot be seen", async () => {
  needRoot();
  using directory = new TempDirectory();
  const path = directory.at("status");
  const listener = Bun.listen({ unix: path, socket: { data() {} } });
  chmodSync(directory.at("."), 0o777);
  process.seteuid?.(WWW_DATA.uid);
  try {
    expect(await listening(path)).toBe(`${path} is the socket of another user`);
  } finally {
    process.seteuid?.(ROOT.uid);
    listener.stop(true);
  }
});

test("a name longer than a socket's address is no hindrance", async () => {
  using directory = new TempDirectory();
  const deep = directory.at("d".repeat(100), "e".repeat(100));
  mkdirSync(deep, { recursive: true });
  const listener = await listening(`${deep}/status`);
  if (typeof listener === "string") throw new Error(listener);
  expect(existsSync(`${deep}/status`)).toBe(true);
  listener.close();
  expect(existsSync(`${deep}/status`)).toBe(false);
});

test("a textfile is written and removed in the directory of the start, or not at all", async () => {
  using directory = new TempDirectory();
  mkdirSync(directory.at("theirs"));
  mkdirSync(directory.at("roots"));
  const victim = directory.put("roots/m.prom", "root's");
  const log = createLog({ level: "error", format: "plain" });
  const kept = await keepTextfile(directory.at("theirs/m.prom"), new MetricRegistry(), log);
  if (typeof kept === "string") throw new Error(kept);
  expect(existsSync(directory.at("theirs/m.prom"))).toBe(true);
  lead(directory.at("theirs"), "roots");
  kept.close();
  expect(readFileSync(victim, "utf8")).toBe("root's");
});

test("a pid file's draft cannot be guessed, and its removal follows no link", () => {
  using directory = new TempDirectory();
  mkdirSync(directory.at("theirs"));
  mkdirSync(directory.at("roots"));
  const victim = directory.put("roots/pid", "root's");
  symlinkSync("../roots/pid", directory.at(`theirs/pid.tmp.${process.pid}`));
  const file = PidFile.write(directory.at("theirs/pid"), 4711);
  if (typeof file === "string") throw new Error(file);
  expect(readFileSync(directory.at("theirs/pid"), "utf8")).toBe("4711\n");
  expect(statSync(directory.at("theirs/pid")).mode & 0o777).toBe(0o644);
  lead(directory.at("theirs"), "roots");
  expect(file.remove()).toBeString();
  expect(readFileSync(victim, "utf8")).toBe("root's");
  expect(PidFile.write(directory.at("none/pid"), 1)).toContain("unable to write pid file");
});

test("a database that is a link to another file leaves that file's mode alone", () => {
  using directory = new TempDirectory();
  const victim = directory.put("passwd", "root:x:0:0\n");
  symlinkSync("passwd", directory.at("history.db"));
  const before = statSync(victim).mode;
  makePrivate(directory.at("history.db"));
  expect(statSync(victim).mode).toBe(before);
  makePrivate(victim);
  expect(statSync(victim).mode & 0o777).toBe(0o600);
  expect(() => makePrivate(directory.at("none"))).toThrow("ENOENT");
});
