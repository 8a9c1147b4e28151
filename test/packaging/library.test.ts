/**
 * The library as users install it: packed by npm, installed by Bun, type-checked with the settings
 * of `tsc --init` and `bun init`, and run; under Node.js one line says what is missing.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";
import { uniqueName } from "../support/service.ts";

setDefaultTimeout(120_000);

const BIN = join(REPOSITORY, "node_modules/.bin");

let scratch: string;
let archive: string;

function run(directory: string, ...words: string[]) {
  const env = { ...process.env, PATH: `${BIN}:${process.env["PATH"]}`, NO_COLOR: "1" };
  const { exitCode, stdout, stderr } = Bun.spawnSync(words, { cwd: directory, env });
  return { exitCode, out: stdout.toString(), err: stderr.toString() };
}

/** A user's project, with the library installed from `from`. */
function consumer(name: string, from: string): string {
  const directory = join(scratch, name);
  mkdirSync(directory);
  writeFileSync(join(directory, "package.json"), '{ "name": "consumer", "type": "module" }\n');
  const added = run(directory, "bun", "add", `file:${from}`);
  expect({ exitCode: added.exitCode, err: added.exitCode === 0 ? "" : added.err }).toEqual({
    exitCode: 0,
    err: "",
  });
  return directory;
}

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-library-"));
  const packed = run(REPOSITORY, "npm", "pack", "--silent", "--pack-destination", scratch);
  if (packed.exitCode !== 0) throw new Error(packed.err);
  archive = join(scratch, packed.out.trim());
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the archive has the bundle, its declarations and the shim, and no sources or tests", () => {
  const files = run(scratch, "tar", "-tzf", archive).out.trim().split("\n");
  const here = `package/lib/shim-${process.arch}.so`;
  const needed = ["index.js", "node.js", "types/index.d.ts", "shim.c", "LICENSE", "README.md"];
  expect(files).toEqual(expect.arrayContaining([here, ...needed.map((n) => `package/lib/${n}`)]));
  const own = ["package/package.json", "package/LICENSE", "package/README.md"];
  expect(files.filter((file) => !file.startsWith("package/lib/")).toSorted()).toEqual(
    own.toSorted(),
  );
  expect(files.filter((file) => /\/(test|src|bench|node_modules)\//.test(file))).toEqual([]);
});

/** A server and its client in one program that imports only the library. */
const program = (service: string) => `
import { Client, ClientFailure, Errno, Server, type Handler } from "pmxcfs-ipc";

const handler: Handler = {
  authenticate: () => "read-write",
  handle: ({ id, span }) =>
    id === 1 ? new Uint8Array(span.bytes.subarray(span.at, span.at + span.size)) : Errno.ECHRNG,
};
const server = Server.start("${service}", handler);
if (!(server instanceof Server)) throw new Error(server.message);
const client = await Client.connect(server.name, { timeoutMs: 5000 });
if (client instanceof ClientFailure) throw new Error(String(client));
const answer = await client.sendRecv(1, new Uint8Array([7, 8]));
if (answer instanceof ClientFailure) throw new Error(String(answer));
const unknown = await client.sendRecv(2);
if (unknown instanceof ClientFailure) throw new Error(String(unknown));
const seen: readonly number[] = [answer.error, answer.body.length, unknown.error];
if (seen.join() !== "0,2," + Errno.ECHRNG) throw new Error(seen.join());
client.close();
await server.stop();
`;

/** tsconfig.json as \`bun init\` writes it (Bun 1.4). */
const BUN_INIT = {
  compilerOptions: {
    lib: ["ESNext"],
    target: "ESNext",
    module: "Preserve",
    moduleDetection: "force",
    jsx: "react-jsx",
    allowJs: true,
    types: ["bun"],
    moduleResolution: "bundler",
    allowImportingTsExtensions: true,
    verbatimModuleSyntax: true,
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    noFallthroughCasesInSwitch: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
  },
};

/** Bun's types, from our own packages: what `bun init` installs. */
function addBunTypes(directory: string): void {
  mkdirSync(join(directory, "node_modules/@types"), { recursive: true });
  for (const name of ["@types/bun", "@types/node", "bun-types", "undici-types"]) {
    const target = join(REPOSITORY, "node_modules", name);
    symlinkSync(target, join(directory, "node_modules", name));
  }
}

describe.each([
  ["the archive", () => archive],
  ["the directory lib", () => join(REPOSITORY, "lib")],
])("installed from %s", (name, from) => {
  let directory: string;

  beforeAll(() => {
    directory = consumer(name.replaceAll(" ", "-"), from());
    writeFileSync(join(directory, "main.ts"), program(uniqueName("library")));
  });

  test("the library installs no other package", () => {
    const installed = readdirSync(join(directory, "node_modules"));
    expect(installed.filter((entry) => !entry.startsWith("."))).toEqual(["pmxcfs-ipc"]);
  });

  test("a program runs", () => {
    expect(run(directory, "bun", "main.ts")).toEqual({ exitCode: 0, out: "", err: "" });
  });

  test("Node.js says in one line what is missing", () => {
    const { exitCode, err } = run(
      directory,
      "node",
      "--input-type=module",
      "-e",
      "import { Server } from 'pmxcfs-ipc'",
    );
    expect(exitCode).toBe(1);
    expect(err).toMatch(/^pmxcfs-ipc needs Bun [^\n]*\n$/);
  });

  test("tsc reports no error with the settings of tsc --init", () => {
    rmSync(join(directory, "tsconfig.json"), { force: true });
    expect(run(directory, "tsc", "--init").exitCode).toBe(0);
    expect(run(directory, "tsc", "-p", ".", "--noEmit").out).toBe("");
  });

  test("tsc reports none without skipLibCheck, with Bun's types and bun init's settings", () => {
    addBunTypes(directory);
    const strict = { ...BUN_INIT.compilerOptions, skipLibCheck: false };
    for (const compilerOptions of [BUN_INIT.compilerOptions, strict]) {
      writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions }));
      const { out } = run(directory, "tsc", "-p", ".");
      expect(out.split("\n").filter((line) => line.includes("pmxcfs-ipc"))).toEqual([]);
      if (compilerOptions.skipLibCheck) expect(out).toBe("");
    }
  });

  test("tsc reports a wrong use: the types are found", () => {
    writeFileSync(
      join(directory, "wrong.ts"),
      'import { Client } from "pmxcfs-ipc";\nexport const n: number = Client.connect(5);\n',
    );
    writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(BUN_INIT));
    const { out } = run(directory, "tsc", "-p", ".");
    expect(out).toContain("wrong.ts(2,");
    rmSync(join(directory, "wrong.ts"));
  });
});

test("docs/library.md says how to install the library", () => {
  const page = readFileSync(join(REPOSITORY, "docs/library.md"), "utf8");
  expect(page).toContain("bun add file:../pmxcfs-ipc/lib");
});
