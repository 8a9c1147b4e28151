/**
 * The rules of the repository that no compiler or linter checks, one row each: the files that a
 * rule covers, its findings in a file, and a file with a finding (so that a rule can fail). By
 * regular expressions on the text, which is enough for code that oxfmt has formatted.
 */
import { dirname, join, normalize } from "node:path";

export interface Source {
  /** From the top of the repository, `src/ipc/flow.ts`. */
  readonly path: string;
  readonly text: string;
}

export interface Rule {
  readonly name: string;
  readonly covers: (path: string) => boolean;
  /** The findings in a file that it covers, a line each. */
  readonly find: (source: Source) => readonly string[];
  /** A file in which it must find something. */
  readonly bad: Source;
}

/** Height of each room of src/: a room imports only rooms with a lower number. */
const HEIGHT: Readonly<Record<string, number>> = {
  base: 0,
  platform: 1,
  wire: 1,
  shm: 2,
  ipc: 3,
  client: 3,
  fuse: 3,
  corosync: 4,
  observe: 4,
  "pmxcfs/rrd": 4,
  "pmxcfs/state": 5,
  "pmxcfs/store": 6,
  "pmxcfs/rescue": 7,
  "pmxcfs/replication": 7,
  "pmxcfs/history": 8,
  "pmxcfs/requests": 8,
  "pmxcfs/mount": 8,
  "pmxcfs/client": 9,
  index: 10,
  daemon: 10,
  tools: 11,
  cli: 12,
  main: 13,
};

/** Imports that are forbidden although they point down. */
const BARRED: Readonly<Record<string, readonly string[]>> = {
  "pmxcfs/client": ["ipc"],
};

const code = (path: string) => /^(src|test|bench|packaging)\/.*\.ts$|^[^/]+\.ts$/.test(path);
const under = (directory: string) => (path: string) =>
  path.startsWith(`${directory}/`) && path.endsWith(".ts");

/** `src/ipc/setup/listener.ts` -> `ipc`, `src/pmxcfs/state/memdb.ts` -> `pmxcfs/state`. */
export function partOf(path: string): string {
  const [, room = "", inner = "", deeper] = path.split("/");
  if (room === "pmxcfs" && deeper !== undefined) return `pmxcfs/${inner}`;
  return room.replace(/\.ts$/, "");
}

/**
 * The repository files that a source imports, statically or dynamically, or starts as a thread;
 * without packages and built files.
 */
export function importsOf({ path, text }: Source): string[] {
  const named = /(?:\bfrom|\bimport|\bnew URL)\s*\(?\s*"(\.[^"]+\.ts)"/g;
  return [...uncommented(text).matchAll(named)].map(([, to = ""]) =>
    normalize(join(dirname(path), to)),
  );
}

/** Code without comments, lines kept. */
function uncommented(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ""))
    .replaceAll(/(^|\s)\/\/ .*$/gm, "$1");
}

/** A finding per line that matches, with its number. */
function lines(text: string, pattern: RegExp, what: string): string[] {
  return text
    .split("\n")
    .flatMap((line, index) => (pattern.test(line) ? [`line ${index + 1}: ${what}`] : []));
}

function upward({ path, text }: Source): string[] {
  const from = partOf(path);
  const height = HEIGHT[from];
  if (height === undefined) return [`"${from}" has no height yet: give it one here`];
  return importsOf({ path, text }).flatMap((to) => {
    const part = partOf(to);
    if (!to.startsWith("src/")) return [`imports ${to}, outside of src`];
    if (part === from) return [];
    const barred = BARRED[from]?.includes(part) ?? false;
    return barred || (HEIGHT[part] ?? 99) >= height ? [`${from} must not import ${part}`] : [];
  });
}

function withoutHeader({ path, text }: Source): string[] {
  const start = path.endsWith(".c") || path.endsWith(".h") ? /^\/\*/ : /^(#!.*\n)?(\/\*\*|\/\/)/;
  return start.test(text) ? [] : ["does not begin with a comment"];
}

/** A line that is one string, at most with its key: the formatter cannot break it. */
const ONE_STRING = /^\s*([\w.-]+: |\[?"[^"]*"[:,] )*(["'`]).*\2[\],;)]*$/;

function tooWide({ text }: Source): string[] {
  // A tab counts as four.
  const wide = text
    .replaceAll("\t", "    ")
    .split("\n")
    .map((line) => {
      return ONE_STRING.test(line) ? "" : line;
    });
  return lines(wide.join("\n"), /^.{101,}/, "over 100 columns");
}

/** Exported functions without a doc comment on the line before. */
function undocumented({ text }: Source): string[] {
  const all = text.split("\n");
  return all.flatMap((line, index) => {
    const name = /^export (?:async )?function\*? ?(\w+)/.exec(line)?.[1];
    const documented = all[index - 1]?.trimEnd().endsWith("*/") ?? false;
    return name === undefined || documented
      ? []
      : [`line ${index + 1}: ${name} has no doc comment`];
  });
}

const MOST_LINES = 400;

/**
 * Files that change modes, owners and names by path: in /run, in /var/lib/pve-cluster, beside a
 * database, below /etc/pve, where only root or the server's own user can put anything.
 */
const OWN_DIRECTORIES = new RegExp(
  "^src/(?:platform/|daemon/node/|pmxcfs/(?:history|store|rescue)/|cli/history-restore[.]ts)",
);

/** This file has the words and paths that the rules look for. */
const SELF = "test/support/tidy.ts";

const LEFTOVER = /\b(TODO|FIXME|XXX)\b/;
const OUR_MACHINE = /(^|[\s"'`(=])\/(work|home\/\w+|Users\/\w+)\//;
const REGISTRY = /registry\.npmjs|deb\.debian/;

export const RULES: readonly Rule[] = [
  {
    name: "imports point down",
    covers: under("src"),
    find: upward,
    bad: { path: "src/ipc/a.ts", text: 'import { b } from "../pmxcfs/state/b.ts";' },
  },
  {
    name: "no dynamic import in a forbidden direction",
    covers: under("src"),
    find: upward,
    bad: { path: "src/pmxcfs/state/a.ts", text: 'const b = await import("../ipc/b.ts");' },
  },
  {
    name: "pointers only in platform",
    covers: (path) => code(path) && path !== SELF && !path.startsWith("src/platform/"),
    find: ({ text }) => lines(text, /"bun:ffi"/, "bun:ffi belongs in src/platform"),
    bad: { path: "src/ipc/a.ts", text: 'import { ptr } from "bun:ffi";' },
  },
  {
    name: "DataView only in wire and shm",
    covers: (path) => code(path) && path !== SELF && !/^src\/(wire|shm)\//.test(path),
    find: ({ text }) =>
      lines(uncommented(text), /\bDataView\b/, "layouts belong in src/wire, src/shm"),
    bad: { path: "src/pmxcfs/state/a.ts", text: "const view = new DataView(buffer);" },
  },
  {
    name: "no step by path in a directory that is not ours",
    covers: (path) => under("src")(path) && !OWN_DIRECTORIES.test(path),
    find: ({ text }) =>
      lines(
        uncommented(text),
        /\b(?:l?chmodSync|l?chownSync|renameSync|lutimesSync)\b/,
        "a symlink of another user may redirect the path: use platform/atomic-file or a descriptor",
      ),
    bad: { path: "src/cli/a.ts", text: 'import { renameSync } from "node:fs";' },
  },
  {
    name: "no copy of bytes by slice()",
    covers: (path) => code(path) && path !== SELF,
    find: ({ text }) =>
      lines(uncommented(text), /\.slice\(\)/, "a Buffer's slice is a view: new Uint8Array(bytes)"),
    bad: { path: "src/a.ts", text: "const kept = data.slice();" },
  },
  {
    name: "no console in src",
    covers: under("src"),
    find: ({ text }) => lines(uncommented(text), /\bconsole\./, "use the log, or print"),
    bad: { path: "src/a.ts", text: 'console.log("here");' },
  },
  {
    name: "citty only in cli, consola only in base/log.ts and cli",
    covers: (path) =>
      under("src")(path) && path !== "src/base/log.ts" && !path.startsWith("src/cli/"),
    find: ({ text }) =>
      lines(text, /from "(citty|consola)/, "citty is cli's, consola is src/base/log.ts's"),
    bad: { path: "src/ipc/a.ts", text: 'import { createConsola } from "consola/basic";' },
  },
  {
    name: "prom-client only in observe/registry.ts, which is loaded for metrics",
    covers: (path) => under("src")(path) && path !== "src/observe/registry.ts",
    find: ({ text }) => lines(text, /from "prom-client/, "prom-client is observe/registry.ts's"),
    bad: { path: "src/observe/observe.ts", text: 'import { Gauge } from "prom-client";' },
  },
  {
    name: "every file begins with a comment",
    covers: (path) => code(path) || /^(native|test)\/.*\.[ch]$/.test(path),
    find: withoutHeader,
    bad: { path: "src/a.ts", text: "export const a = 1;\n" },
  },
  {
    name: "lines of at most 100 columns",
    covers: (path) => code(path) || /\.[ch]$/.test(path),
    find: tooWide,
    bad: { path: "native/a.c", text: `\t${"x".repeat(97)}` },
  },
  {
    name: `files of at most ${MOST_LINES} lines`,
    covers: code,
    find: ({ text }) => (text.split("\n").length > MOST_LINES ? ["is too long: split it"] : []),
    bad: { path: "src/a.ts", text: "\n".repeat(MOST_LINES + 1) },
  },
  {
    name: "an exported function has a doc comment",
    covers: under("src"),
    find: undocumented,
    bad: { path: "src/base/a.ts", text: "// A.\n\nexport function a(): void {}\n" },
  },
  {
    name: "only pages of the repository are cited",
    covers: (path) => code(path) || /\.(c|h|md)$/.test(path),
    find: ({ path, text }) =>
      path === SELF || path === "CHANGELOG.md"
        ? []
        : lines(
            text,
            /\b(?!README|CHANGELOG|CONTRIBUTING|RESULTS|LICENSE)[A-Z-]{4,}\.md\b/,
            "cite docs/",
          ),
    bad: { path: "src/base/a.ts", text: "// WIRE.md 3" },
  },
  {
    name: "no note about work left to do",
    covers: (path) => path !== SELF,
    find: ({ text }) => lines(text, LEFTOVER, "do it, or file it"),
    bad: { path: "src/a.ts", text: "// TODO: later" },
  },
  {
    name: "control characters are escaped in base/escape.ts only",
    covers: (path) => under("src")(path) && path !== "src/base/escape.ts",
    find: ({ text }) => lines(uncommented(text), /\\p\{C[cf]\}/, "use base/escape.ts"),
    bad: { path: "src/cli/a.ts", text: "text.replaceAll(/\\p{Cc}/gu, hex);" },
  },
  {
    name: "no default exports",
    covers: (path) => under("src")(path) && !path.endsWith(".d.ts"),
    find: ({ text }) => lines(text, /^export default\b|\bas default\b/, "name the export"),
    bad: { path: "src/a.ts", text: "export default 1;" },
  },
  {
    name: "kebab-case names",
    // A report, named as GitHub shows such pages.
    covers: (path) =>
      /^(src|test|bench|native|packaging)\//.test(path) && path !== "bench/RESULTS.md",
    find: ({ path }) =>
      /^([a-z0-9-]+\/)*[a-z0-9]+([-.][a-z0-9]+)*$/.test(path) ? [] : ["is not kebab-case"],
    bad: { path: "src/ipc/flowControl.ts", text: "" },
  },
  {
    name: "no path of one machine, no host of a registry",
    covers: (path) => path !== SELF,
    find: ({ text }) => [
      ...lines(text, OUR_MACHINE, "a path of one machine"),
      ...lines(text, REGISTRY, "a registry's host"),
    ],
    bad: { path: "docs/a.md", text: ["see ", "work", "here"].join("/") },
  },
  {
    name: "tests wait for conditions",
    covers: (path) => path.endsWith(".test.ts"),
    find: ({ text }) =>
      lines(
        uncommented(text),
        // A millisecond, in a bounded loop, is a poll by hand.
        /\b(Bun\.sleep(?!\(1\))|sleepSync|setTimeout|setInterval)\b|timers\/promises/,
        "wait with eventually()",
      ),
    bad: { path: "test/a.test.ts", text: "await Bun.sleep(100);" },
  },
  {
    name: "skipped tests have a reason",
    covers: (path) => path.endsWith(".test.ts"),
    find: ({ text }) =>
      lines(uncommented(text), /\b(test|it|describe)\.(skip|skipIf|todo|only)\b/, "use testUnless"),
    bad: { path: "test/a.test.ts", text: 'test.skip("a", () => {});' },
  },
];

/** Source files of src/ that neither the program nor the library imports. */
export function unreached(sources: readonly Source[]): string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set<string>();
  const ahead = ["src/main.ts", "src/index.ts"];
  for (let path = ahead.pop(); path !== undefined; path = ahead.pop()) {
    const source = byPath.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    ahead.push(...importsOf(source));
  }
  return sources
    .map(({ path }) => path)
    .filter((path) => under("src")(path) && !path.endsWith(".d.ts") && !reached.has(path));
}

/**
 * Circles of imports in src/, each as `a.ts -> b.ts -> a.ts`. Types count: two files that know each
 * other's types cannot be read, moved or tested one without the other.
 */
export function circles(sources: readonly Source[]): string[] {
  const imports = new Map(sources.map((source) => [source.path, importsOf(source)]));
  const found: string[] = [];
  const done = new Set<string>();
  const way: string[] = [];
  const visit = (path: string): void => {
    const start = way.indexOf(path);
    if (start >= 0) found.push([...way.slice(start), path].join(" -> "));
    if (start >= 0 || done.has(path) || !path.startsWith("src/")) return;
    way.push(path);
    for (const to of imports.get(path) ?? []) visit(to);
    way.pop();
    done.add(path);
  };
  for (const path of imports.keys()) visit(path);
  return found;
}

/** Paths of the repository in comments, documents and messages. */
const CITED =
  /(?<![\w./@-])((?:src|test|native|bench|docs|packaging)\/[\w./-]*\.(?:ts|md|c|h|json|sh|pl))\b/g;

/** The change log cites files of earlier versions, the other two cite files that never existed. */
const EXEMPT = new Set(["CHANGELOG.md", SELF, "test/tidy.test.ts"]);

/** A line for each file that cites a path of the repository that does not exist. */
export function brokenCitations(sources: readonly Source[]): string[] {
  const paths = new Set(sources.map(({ path }) => path));
  return sources
    .filter(({ path }) => /\.(ts|md|c|h)$/.test(path) && !EXEMPT.has(path))
    .flatMap(({ path, text }) =>
      [...text.matchAll(CITED)]
        .map(([, cited = ""]) => cited)
        .filter((cited) => !paths.has(cited) && !cited.includes("NAME"))
        .map((cited) => `${path} names ${cited}`),
    );
}
