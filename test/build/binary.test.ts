/**
 * The built program, as a downloaded file: copied into a directory whose files would make Bun run
 * foreign code, with an almost empty environment.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBinary, buildShim, NATIVE } from "../../build.ts";
import { descriptorNames } from "../../src/tools/check/proc.ts";
import { eventually } from "../support/eventually.ts";
import { isListening, uniqueName } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

const ROOT = join(import.meta.dir, "../..");
const HOSTILE: Readonly<Record<string, string>> = {
  "bunfig.toml": 'preload = ["./preload.ts"]\n[run]\nbun = true\n',
  "preload.ts": 'require("node:fs").writeFileSync("preloaded", "");\n',
  ".env": "PMXCFS_IPC_DEBUG=from-dotenv\nNO_SUCH=1\n",
  "package.json": '{"name": "hostile", "type": "commonjs", "imports": {"#x": "./preload.ts"}}\n',
  "tsconfig.json": '{"compilerOptions": {"paths": {"*": ["./preload.ts"]}}}\n',
};
/** The libraries of glibc, on both machine types. */
const GLIBC = /^(linux-vdso|libc|libpthread|libdl|libm|ld-linux-[a-z0-9-]+)\.so\.\d+$/;

let directory: string;
let program: string;
/** The program's temporary directory; it must stay empty. */
let temporary: string;

beforeAll(() => {
  // The sources may be newer than the last build.
  const built = Bun.spawnSync([process.execPath, "build.ts"], { cwd: ROOT });
  expect(built.stderr.toString()).toBe("");
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-binary-"));
  temporary = join(directory, "tmp");
  mkdirSync(temporary);
  program = join(directory, "pmxcfs-ipc");
  copyFileSync(join(ROOT, "dist/pmxcfs-ipc"), program);
  for (const [name, text] of Object.entries(HOSTILE)) writeFileSync(join(directory, name), text);
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Fails if a program has made a file in its directory. */
function expectNoNewFile(): void {
  const expected = [...Object.keys(HOSTILE), "pmxcfs-ipc", "tmp"].toSorted();
  expect(readdirSync(directory).toSorted()).toEqual(expected);
  expect(readdirSync(temporary)).toEqual([]);
}

const environment = () => ({ TMPDIR: temporary });

describe("in a hostile directory", () => {
  test("Bun itself runs the foreign code", () => {
    Bun.spawnSync([process.execPath, "-e", "1"], { cwd: directory, env: environment() });
    expect(readdirSync(directory)).toContain("preloaded");
    rmSync(join(directory, "preloaded"));
  });

  test("a command runs none of it, and makes no file", () => {
    const words = [program, "frobnicate"];
    const { exitCode, stderr } = Bun.spawnSync(words, { cwd: directory, env: environment() });
    // With .env there would be a stack trace.
    const line = 'pmxcfs-ipc: unknown command "frobnicate"\n';
    expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 2, stderr: line });
    expectNoNewFile();
  });

  test("a command does not try to open its files", () => {
    const words = ["strace", "-f", "-e", "trace=%file", program, "--version"];
    const { stderr } = Bun.spawnSync(words, {
      cwd: directory,
      env: { ...environment(), PATH: process.env["PATH"] ?? "" },
    });
    const trace = stderr.toString();
    expect(trace).toContain("libc.so.6");
    for (const name of Object.keys(HOSTILE)) expect(trace).not.toContain(name);
    expect(trace).not.toContain(ROOT);
  });

  test("a command refuses to run as root with BUN_OPTIONS or LD_PRELOAD", () => {
    for (const name of ["BUN_OPTIONS", "LD_PRELOAD"]) {
      // Harmless values: a library that does not exist, and an option that saves memory.
      const value = name === "LD_PRELOAD" ? "/nonexistent.so" : "--smol";
      const { exitCode, stderr } = Bun.spawnSync([program, "--version"], {
        cwd: directory,
        env: { ...environment(), [name]: value },
      });
      if (process.getuid?.() !== 0) expect(exitCode).toBe(0);
      else expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining(name)]);
    }
  });

  test("a server has no file open except itself, libraries and its rings", async () => {
    const name = uniqueName("binary");
    const server = Bun.spawn([program, "echo", "--socket", name, "--accept-any"], {
      cwd: directory,
      env: environment(),
      stdio: ["ignore", "ignore", "pipe"],
    });
    try {
      await eventually(`${name} listening`, () => {
        if (server.exitCode !== null) throw new Error(`it ended with ${server.exitCode}`);
        return isListening(name);
      });
      const maps = readFileSync(`/proc/${server.pid}/maps`, "latin1");
      const files = new Set(maps.split("\n").map((line) => line.split(/\s+/)[5] ?? ""));
      const foreign = [...files].filter((file) => file.startsWith("/") && file !== program);
      expect(
        foreign.filter((file) => !/^\/(usr\/)?lib|^\/memfd:|^\/dev\/shm\//.test(file)),
      ).toEqual([]);
      // The shim is loaded from memory, not from a file.
      expect([...files].filter((file) => file.includes("memfd:pmxcfs-ipc-shim"))).not.toEqual([]);
      const open = descriptorNames("/proc", server.pid);
      expect(open).toContain("/dev/null");
      expect(open.filter((file) => file.startsWith(directory) && file !== program)).toEqual([]);
    } finally {
      server.kill("SIGTERM");
      await server.exited;
    }
    expect(server.exitCode).toBe(0);
    await noRingsLeft(server.pid);
    expectNoNewFile();
  });
});

describe("the file", () => {
  test("needs no library except glibc", () => {
    const { stdout } = Bun.spawnSync(["readelf", "-d", program]);
    const needed = [...stdout.toString().matchAll(/\(NEEDED\).*\[(.+)\]/g)].map(
      ([, name = ""]) => name,
    );
    expect(needed.length).toBeGreaterThan(0);
    expect(needed.filter((name) => !GLIBC.test(name))).toEqual([]);
  });

  test("prints its git revision and the version of Bun", () => {
    const { stdout } = Bun.spawnSync([program, "--version"], { cwd: directory, env: {} });
    expect(stdout.toString()).toMatch(
      new RegExp(
        `^pmxcfs-ipc \\S+ \\(git ([0-9a-f]{12}(\\+changes)?|unknown)\\), Bun ${Bun.version}`,
      ),
    );
  });

  test("has the same bytes when it is built in another directory", async () => {
    const shim = buildShim(NATIVE);
    const sums = ["one", "other"].map(async (name) => {
      const target = { ...NATIVE, directory: join(directory, "built", name) };
      return Bun.hash(readFileSync((await buildBinary(target, shim, "0123456789ab")).program));
    });
    const [one, other] = await Promise.all(sums);
    rmSync(join(directory, "built"), { recursive: true });
    expect(one).toBe(other);
  });

  test("cannot be built without a C compiler: the message has the packages to install", () => {
    const target = { ...NATIVE, compiler: "no-such-cc", directory: join(directory, "none") };
    expect(() => buildShim(target)).toThrow(
      /^no C compiler \(no-such-cc\): apt-get install gcc libc6-dev$/,
    );
  });
});
