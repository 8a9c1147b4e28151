/**
 * RRD files written by a real rrdtool while no rrdcached runs; and programs in place of rrdtool.
 */
import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Rrdtool } from "../../src/pmxcfs/rrd/rrdtool.ts";
import { eventually } from "../support/eventually.ts";
import { flush, last, NODE_VALUES, open, settled, TIME } from "../support/rrd-files.ts";
import { RrdcachedFixture } from "../support/rrdcached.ts";

/** Child processes of this one with this name, without zombies. */
function childrenNamed(name: string): string[] {
  return readdirSync("/proc/self/task")
    .flatMap((task) => readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" "))
    .filter((pid) => {
      const stat = pid === "" || !existsSync(`/proc/${pid}`) ? "" : statOf(pid);
      return stat.includes(`(${name}) `) && !stat.includes(") Z ");
    });
}

function statOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return "";
  }
}

/** A program in place of rrdtool, which may ignore its commands. */
function script(fixture: RrdcachedFixture, line: string): string {
  const path = join(fixture.directory, "stand-in");
  writeFileSync(path, `#!/bin/sh\n${line}\n`, { mode: 0o755 });
  return path;
}

test("rrdtool writes the same files as rrdcached", async () => {
  await using direct = new RrdcachedFixture();
  await using cached = new RrdcachedFixture();
  await cached.start();
  const values = [
    ["pve2-node/n1", `5:sub:${TIME}:${NODE_VALUES}`],
    ["pve-node-9.0/n1", `5::${TIME + 60}:${NODE_VALUES}:13:14:15:16:17:18:19`],
    ["pve2.3-vm/100", `5:web:running:0:${TIME}:4:0.01:8:1:3:0:1:2:3:4`],
    ["pve-storage-9.0/n1/local", `${TIME}:100:50`],
    ["pve-storage-9.0/n1/local", `${TIME + 60}:100:51`],
  ] as const;
  for (const fixture of [direct, cached]) {
    const { files, lines } = open(fixture);
    for (const [key, value] of values) files.update(key, value);
    await settled(files, values.length);
    expect(files.counters).toMatchObject({ written: values.length, rejected: 0 });
    expect(lines).toHaveLength(fixture === direct ? 1 : 0);
    expect(lines[0] ?? "RRD files are written by rrdtool").toContain(
      "RRD files are written by rrdtool",
    );
  }
  for (const file of ["pve-node-9.0/n1", "pve-vm-9.0/100", "pve-storage-9.0/n1/local"]) {
    await flush(cached, file);
    // Not compared by bytes: the rows of a new file start at a random one.
    expect(direct.rrdtool("dump", file)).toEqual(cached.rrdtool("dump", file));
  }
  expect(statSync(direct.path("pve-node-9.0")).mode & 0o777).toBe(0o750);
});

test("unusual names are used for the files, and never as commands", async () => {
  await using fixture = new RrdcachedFixture();
  const names = ["a b", `q'"'q`, "back\\slash", "-x", ".h", "$(id)", "\xe4", "a:b"];
  const write = async () => {
    const { files } = open(fixture);
    for (const name of names) files.update(`pve2-storage/n/${name}`, `${TIME}:1:2`);
    await settled(files, names.length);
    expect(files.counters).toMatchObject({ written: names.length, rejected: 0 });
    files.close();
    const directory = fixture.path("pve-storage-9.0/n");
    const found = readdirSync(directory, { encoding: "buffer" });
    expect(found.map((name) => name.toString("latin1")).toSorted()).toEqual(names.toSorted());
    rmSync(directory, { recursive: true });
  };
  await write();
  await fixture.start();
  await write();
});

test("without the directory no file is made, and the reason is logged", async () => {
  await using fixture = new RrdcachedFixture();
  const baseDirectory = fixture.path("missing");
  const { files, lines } = open(fixture, { baseDirectory });
  files.update("pve2-storage/n1/s", `${TIME}:1:2`);
  await eventually("the reason is logged", () => lines.length > 0);
  expect(lines[0]).toContain(`${baseDirectory} does not exist; RRD files are not updated`);
  expect(existsSync(baseDirectory)).toBe(false);
});

test("values that rrdtool refuses do not stop the others", async () => {
  await using fixture = new RrdcachedFixture();
  const { files, lines } = open(fixture);
  files.update("pve2-storage/n1/s", `${TIME}:1:2`);
  files.update("pve2-storage/n1/s", `${TIME}:1:2`);
  files.update("pve2-storage/n1/s", `${TIME + 60}:3:4`);
  await settled(files, 3);
  expect(files.counters).toMatchObject({ written: 2, rejected: 1 });
  expect(lines.join("\n")).toContain("illegal attempt to update using time");
});

test("rrdtool ends when it is idle, and when rrdcached runs again", async () => {
  await using fixture = new RrdcachedFixture();
  const { files, lines } = open(fixture);
  files.update("pve2-storage/n1/s", `${TIME}:1:2`);
  await settled(files, 1);
  expect(childrenNamed("rrdtool")).toHaveLength(1);
  await fixture.start();
  files.update("pve2-storage/n1/s", `${TIME + 60}:3:4`);
  await settled(files, 2);
  expect(await last(fixture, "pve-storage-9.0/n1/s")).toBe(`${TIME + 60}: 3 4`);
  expect(lines.at(-1)).toContain("rrdcached answers again");
  await eventually("rrdtool has ended", () => childrenNamed("rrdtool").length === 0);

  const tool = new Rrdtool({ idleMs: 1 });
  await tool.update([{ path: fixture.path("none"), values: "N:1" }]);
  await eventually("an idle rrdtool has ended", () => tool.pid === undefined);
});

test("a child that does not answer is killed, and its output is limited", async () => {
  await using fixture = new RrdcachedFixture();
  const values = [{ path: fixture.path("x"), values: "N:1" }];
  const silent = new Rrdtool({ program: script(fixture, "exec sleep 60"), timeoutMs: 50 });
  expect(await silent.update(values)).toMatchObject({ reason: "no answer" });
  const loud = new Rrdtool({ program: script(fixture, "exec yes") });
  expect(await loud.update(values)).toMatchObject({ reason: "a reply without end" });
  const gone = new Rrdtool({ program: "/bin/true" });
  expect(await gone.update(values)).toMatchObject({ reason: "rrdtool ended" });
  expect([silent.pid, loud.pid, gone.pid]).toEqual([undefined, undefined, undefined]);
});

test("a program that says OK and makes no file is reported", async () => {
  await using fixture = new RrdcachedFixture();
  const program = script(fixture, 'while read -r line; do echo "OK u:0.00"; done');
  const tool = new Rrdtool({ program });
  const layout = { directory: "d", skippedFields: 0, columns: [] };
  const made = await tool.create({ path: join(fixture.directory, "n1"), layout, start: TIME });
  expect(made).toContain("ENOENT");
  tool.close();
});

test("a draft that cannot be removed is reported, and stops no later value", async () => {
  await using fixture = new RrdcachedFixture();
  // As on a disk that has become read-only meanwhile: a directory is not removed as a file is.
  const line = 'while read -r verb path rest; do eval mkdir -p "$path"; echo "OK u:0.00"; done';
  const tool = new Rrdtool({ program: script(fixture, line) });
  const path = join(fixture.directory, "file");
  const layout = { directory: "", skippedFields: 0, columns: [] };
  expect(await tool.create({ path, layout, start: 0 })).toMatch(/EPERM|not permitted/);
  tool.close();
});
