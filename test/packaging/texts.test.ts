/** The texts written from the commands' declarations (man pages, completion), and the changelog. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fishCompletion, zshCompletion } from "../../packaging/completion-shells.ts";
import { bashCompletion } from "../../packaging/completion.ts";
import { debianChangelog } from "../../packaging/documents.ts";
import { manPages } from "../../packaging/man.ts";
import { programPlaces, type Place } from "../../packaging/tree.ts";
import { optionName } from "../../src/cli/parse-args.ts";
import { eventually } from "../support/eventually.ts";

const EDITION = { version: "1.2.3", date: 1_767_225_600 };

let places: Place[];
let directory: string;

beforeAll(async () => {
  places = await programPlaces();
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-texts-"));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe("man pages", () => {
  test("there is one for the program and one for each of its commands", () => {
    const commands = places.filter(({ path }) => path.length === 2).map(({ path }) => path[1]);
    const names = ["pmxcfs-ipc.1", ...commands.map((name) => `pmxcfs-ipc-${name}.1`)];
    expect([...manPages(places, EDITION).keys()]).toEqual(names);
    expect(names).toContain("pmxcfs-ipc-serve.1");
  });

  test("man formats each without a warning, and every option is in it", () => {
    for (const [name, page] of manPages(places, EDITION)) {
      const file = join(directory, name);
      writeFileSync(file, page);
      const { stdout, stderr, exitCode } = Bun.spawnSync(["man", "--warnings", "-l", file], {
        env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8", MANWIDTH: "80", MANROFFOPT: "" },
      });
      expect({ name, exitCode, stderr: stderr.toString() }).toEqual({
        name,
        exitCode: 0,
        stderr: "",
      });
      const words = name.replace(/\.1$/, "").split("-").slice(2);
      const text = stdout.toString();
      for (const { path, command } of places) {
        if (path[1] !== words[0]) continue;
        for (const [key, { onByDefault }] of Object.entries(command.options)) {
          expect(text).toContain(`--${onByDefault === true ? "no-" : ""}${optionName(key)}`);
        }
      }
    }
  });
});

/** The words that bash offers for a line whose last word is being typed. */
function offered(...words: string[]): string[] {
  const file = join(directory, "completion");
  writeFileSync(file, bashCompletion(places));
  const script = [
    `source ${file}`,
    `COMP_WORDS=(pmxcfs-ipc ${words.map((word) => `'${word}'`).join(" ")})`,
    `COMP_CWORD=${words.length}`,
    // bash refuses compopt outside of a completion.
    "compopt() { :; }",
    "_pmxcfs_ipc",
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ];
  const { stdout, stderr } = Bun.spawnSync(["bash", "-c", script.join("\n")], { cwd: directory });
  expect(stderr.toString()).toBe("");
  return stdout.toString().trim().split("\n");
}

describe("bash completion", () => {
  test("offers commands, and the commands of a group", () => {
    expect(offered("ser")).toEqual(["serve"]);
    expect(offered("")).toEqual(expect.arrayContaining(["serve", "check", "call"]));
    expect(offered("config", "ex")).toEqual(["export"]);
  });

  test("offers options of the typed command, also after options with values", () => {
    expect(offered("echo", "--acc")).toEqual(["--accept-any"]);
    expect(offered("echo", "--socket", "serve", "--acc")).toEqual(["--accept-any"]);
    expect(offered("serve", "--no-r")).toEqual(["--no-rrd"]);
    expect(offered("--ver")).toEqual(["--version"]);
    expect(offered("serve", "--ver")).toEqual([""]);
  });

  test("offers the words that an option accepts, after a space or =", () => {
    expect(offered("serve", "--log", "j")).toEqual(["journal", "json"]);
    expect(offered("serve", "--log", "=", "pl")).toEqual(["plain"]);
    expect(offered("serve", "--log-level", "=")).toEqual(["error", "warn", "info", "debug"]);
  });

  test("offers file names if the value is one, nothing if it is a number", () => {
    writeFileSync(join(directory, "config.db"), "");
    expect(offered("serve", "--db", "conf")).toEqual(["config.db"]);
    expect(offered("serve", "--max-connections", "")).toEqual([""]);
  });
});

/** The words that fish offers for a line. */
function fish(line: string): string[] {
  const file = join(directory, "completion.fish");
  writeFileSync(file, fishCompletion(places));
  const script = `source ${file}; complete -C '${line}'`;
  const env = { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory };
  const words = ["fish", "--no-config", "-c", script];
  const { stdout, stderr } = Bun.spawnSync(words, { cwd: directory, env });
  expect(stderr.toString()).toBe("");
  return stdout
    .toString()
    .trim()
    .split("\n")
    .map((row) => row.split("\t")[0] ?? "");
}

describe("fish completion", () => {
  test("offers commands, options, and the words that an option accepts", () => {
    expect(fish("pmxcfs-ipc ser")).toEqual(["serve"]);
    expect(fish("pmxcfs-ipc call verify-t")).toEqual(["verify-token"]);
    expect(fish("pmxcfs-ipc echo --socket serve --acc")).toEqual(["--accept-any"]);
    expect(fish("pmxcfs-ipc serve --no-r")).toEqual(["--no-rrd"]);
    expect(fish("pmxcfs-ipc serve --log ")).toEqual(["journal", "json", "plain"]);
  });
});

/** The line that zsh makes of `typed` and a tab, in a terminal of its own. */
async function zsh(typed: string): Promise<string> {
  const functions = join(directory, "zsh");
  mkdirSync(functions, { recursive: true });
  writeFileSync(join(functions, "_pmxcfs-ipc"), zshCompletion(places));
  const rc = `fpath=(${functions} $fpath); autoload -Uz compinit; compinit -D -u; PROMPT='> '\n`;
  writeFileSync(join(directory, ".zshrc"), rc);
  // A tmux server of its own: the last one may not have ended yet.
  const socket = join(directory, `tmux-${typed.length}-${typed.slice(-5).replaceAll(" ", "")}`);
  const tmux = (...words: string[]) =>
    Bun.spawnSync(["tmux", "-S", socket, "-f", "/dev/null", ...words]).stdout.toString();
  tmux(
    "new-session",
    "-d",
    "-x",
    "200",
    "-y",
    "50",
    `ZDOTDIR=${directory} HOME=${directory} zsh -i`,
  );
  try {
    const screen = () => tmux("capture-pane", "-p");
    await eventually("zsh is ready", () => screen().startsWith(">"));
    tmux("send-keys", "-l", typed);
    await eventually("it is typed", () => screen().includes(typed));
    tmux("send-keys", "Tab");
    await eventually("it is completed", () => screen().split("\n")[0] !== `> ${typed}`);
    return screen().split("\n")[0]?.replace(/^> /, "").trimEnd() ?? "";
  } finally {
    tmux("kill-server");
  }
}

describe("zsh completion", () => {
  test("completes commands, options and words in zsh", async () => {
    expect(await zsh("pmxcfs-ipc ser")).toBe("pmxcfs-ipc serve");
    expect(await zsh("pmxcfs-ipc call verify-t")).toBe("pmxcfs-ipc call verify-token");
    expect(await zsh("pmxcfs-ipc echo --acc")).toBe("pmxcfs-ipc echo --accept-any");
    expect(await zsh("pmxcfs-ipc serve --log jo")).toBe("pmxcfs-ipc serve --log journal");
  }, 60_000);
});

function entry(version: string, ...points: string[]): string {
  const title = `pmxcfs-ipc (${version}) unstable; urgency=medium`;
  return `${title}\n\n${points.join("\n")}\n\n -- `;
}

test("Debian's changelog is made from CHANGELOG.md", () => {
  const newer = "## 1.1.0 (soon)\n\n### A\n\n- One\n  more.\n- Two.\n\n### B\n\n- Three.\n\n";
  const ours = `# Changelog\n\nAll.\n\n${newer}## 1.0.0 (then)\n\n- First.\n`;
  const [newest, oldest, more] = debianChangelog(ours, EDITION.date).split(/(?<=\+0000\n)\n/);
  expect(newest).toStartWith(entry("1.1.0-1", "  * One more.", "  * Two.", "  * Three."));
  expect(oldest).toStartWith(entry("1.0.0-1", "  * First."));
  expect(oldest).toEndWith("  Thu, 01 Jan 2026 00:00:00 +0000\n");
  expect(more).toBeUndefined();
});
