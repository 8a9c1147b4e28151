/**
 * docs/api.md, made from src/index.ts: every name the library exports, with its declaration and doc
 * comment, and the public methods of its classes. `bun test/docs/api-reference.ts` writes the file;
 * api-reference.test.ts compares. Text only: it relies on the layout that oxfmt gives the sources.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const INDEX = join(ROOT, "src/index.ts");
export const API = join(ROOT, "docs/api.md");

interface Exported {
  /** The exported name. */
  readonly name: string;
  /** The name in the file that declares it. */
  readonly declared: string;
  /** Path from the root of the repository. */
  readonly file: string;
}

/** The names of one `export ... from` clause. */
function namesOf(clause: string): { name: string; declared: string }[] {
  return clause
    .split(",")
    .map((each) => each.trim().replace(/^type /, ""))
    .filter(Boolean)
    .map((each) => {
      const [declared = "", name = declared] = each.split(" as ");
      return { declared, name };
    });
}

/** Every export of the library, in the order of src/index.ts. */
function exportsOf(text: string): Exported[] {
  const clauses = text.matchAll(/^export (?:type )?(?:\{([^}]*)\}|\*) from "([^"]+)";/gm);
  return [...clauses].flatMap(([, clause, from = ""]) => {
    const file = join("src", from);
    if (clause !== undefined)
      return namesOf(clause).map(({ name, declared }) => {
        return { name, declared, file };
      });
    const source = readFileSync(join(ROOT, file), "utf8");
    const types = [...source.matchAll(/^export (?:interface|type) (\w+)/gm)];
    return types.map(([, name = ""]) => ({ name, declared: name, file }));
  });
}

/** The text of the doc comment that ends right above `line`; empty when there is none. */
function commentAbove(lines: readonly string[], line: number): string {
  if (!(lines[line - 1] ?? "").trimEnd().endsWith("*/")) return "";
  let first = line - 1;
  while (first > 0 && !(lines[first] ?? "").trimStart().startsWith("/**")) first--;
  return lines
    .slice(first, line)
    .map((each) =>
      each
        .trim()
        .replace(/^\/?\*+\/?\s?/, "")
        .replace(/\s*\*\/$/, ""),
    )
    .join("\n")
    .trim();
}

/** A declaration up to its `{` or `;`; an interface, type or constant is kept whole. */
function declarationAt(lines: readonly string[], line: number): string {
  const first = lines[line] ?? "";
  const whole = /^export (?:interface|type|const) /.test(first);
  const block = first.startsWith("export interface ");
  const object = block || (whole && first.endsWith("{"));
  const end = object ? /^\}(?: as const)?;?$|\{\}$/ : whole ? /;(?: \/\/.*)?$/ : /[{;]$/;
  let last = line;
  while (last < lines.length && !end.test(lines[last] ?? "")) last++;
  const text = lines.slice(line, last + 1).join("\n");
  const isFunction = /^export (?:async )?function/.test(first);
  const bare = whole ? text : text.replace(/\s*\{$/, isFunction ? ";" : "");
  return bare.replace(/^export /, "");
}

const REEXPORT = /^export (?:type )?\{([^}]*)\} from "([^"]+)";/gm;

const NOT_PUBLIC = /^ {2}(?:#|\)|readonly #|private|protected|get #|async #|static #|override|\/)/;

/** Public methods and accessors of the class that begins at `line`, each with its comment. */
function membersOf(lines: readonly string[], line: number): string[] {
  const members: string[] = [];
  for (let at = line + 1; at < lines.length && lines[at] !== "}"; at++) {
    const text = lines[at] ?? "";
    const member = /^ {2}(?:static |async |get |set |\[Symbol)?[\w.[\] ]*\(?/.test(text);
    if (!member || NOT_PUBLIC.test(text) || !/^ {2}\S.*[({]$|^ {2}\S.*\).*\{$/.test(text)) continue;
    let last = at;
    while (last < lines.length && !(lines[last] ?? "").endsWith("{")) last++;
    const shown = lines.slice(at, last + 1).map((each) => each.slice(2));
    const declaration = shown.join("\n").replace(/\s*\{$/, "");
    const comment = commentAbove(lines, at);
    members.push(`\`\`\`ts\n${declaration}\n\`\`\`\n${comment === "" ? "" : `\n${comment}\n`}`);
    at = last;
  }
  return members;
}

/** The file that declares `name`: `file`, or the one it re-exports it from. */
function declaringFile(name: string, file: string): string {
  const text = readFileSync(join(ROOT, file), "utf8");
  for (const [, clause = "", from = ""] of text.matchAll(REEXPORT)) {
    if (namesOf(clause).some((each) => each.name === name)) return join(dirname(file), from);
  }
  return file;
}

function sectionOf({ name, declared, file: from }: Exported): string {
  const file = declaringFile(declared, from);
  const lines = readFileSync(join(ROOT, file), "utf8").split("\n");
  const start = new RegExp(
    `^export (?:abstract )?(?:class|interface|type|const|(?:async )?function\\*?) ${declared}\\b`,
  );
  const line = lines.findIndex((each) => start.test(each));
  if (line < 0) throw new Error(`${file} does not declare ${declared}`);
  const comment = commentAbove(lines, line);
  const members = (lines[line] ?? "").includes("class ") ? membersOf(lines, line) : [];
  const parts = [
    `## ${name}`,
    comment,
    `\`\`\`ts\n${declarationAt(lines, line)}\n\`\`\``,
    ...members,
    `Declared in ${file}${name === declared ? "" : ` as \`${declared}\``}.`,
  ];
  return `${parts.filter(Boolean).join("\n\n")}\n`;
}

/** The whole page. */
export function apiReference(): string {
  const head = [
    "# API reference",
    "",
    "What `src/index.ts` exports, from the doc comments of the sources. Made by",
    "`bun test/docs/api-reference.ts`; [library.md](library.md) has programs that use it.",
    "",
  ];
  const all = exportsOf(readFileSync(INDEX, "utf8")).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return `${head.join("\n")}\n${all.map(sectionOf).join("\n")}`;
}

if (import.meta.main) {
  writeFileSync(API, apiReference());
  process.stdout.write(`wrote ${API.slice(dirname(ROOT).length + 1)}\n`);
}
