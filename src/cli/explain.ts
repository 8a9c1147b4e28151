/**
 * `pmxcfs-ipc explain`: explains an error line. Works offline; the texts are in
 * src/tools/diagnosis.
 */
import { jsonText } from "../base/escape.ts";
import {
  codeJson,
  codeListJson,
  explanationJson,
  renderCode,
  renderCodeList,
  renderDiagnosis,
  renderExplanation,
  renderSymptoms,
} from "../tools/diagnosis/explain-text.ts";
import {
  CODE_NAMES,
  Explainer,
  type Explanation,
  codeIn,
  codeNamed,
  explain,
  looksLikeCode,
} from "../tools/diagnosis/explain.ts";
import { programOf } from "../tools/diagnosis/log-line.ts";
import { flag, repeated } from "./args.ts";
import { command } from "./command.ts";
import { ExitCode, UsageFailure } from "./failure.ts";
import { Progress } from "./progress.ts";
import { suggest } from "./suggest.ts";
import { print, stdoutStyle } from "./terminal.ts";

const MiB = 1024 * 1024;
/** Most bytes read of a piped log. */
const INPUT_BYTES = 64 * MiB;

/** What to do about an unknown line. */
const NEXT = [
  ["pmxcfs-ipc --check", "checks this node"],
  ["journalctl -b -u pve-cluster -u corosync -n 50", "the lines around it"],
  ["pmxcfs-ipc explain -", "reads a whole log: pipe one in"],
] as const;

/** The same, with the log of the program that wrote the line. */
function nextSteps(words: string): string {
  const program = programOf(words);
  const own = /^[\w.@-]+$/.test(program ?? "")
    ? [[`journalctl -b -t ${program} -n 50`, `what ${program} logged before and after it`] as const]
    : [];
  const steps = [...own, ...NEXT];
  const width = Math.max(...steps.map(([text]) => text.length));
  const lines = steps.map(([text, what]) => `  ${text.padEnd(width)}  ${what}\n`);
  return `This text is not known. What to run next:\n${lines.join("")}`;
}

interface Piped {
  readonly explanations: Explanation[];
  /** The start of the text, which may be the name of a code. */
  readonly words: string;
  /** There was more text than was read. */
  readonly isCut: boolean;
}

const WORDS_CHARS = 1_000;

/** Explains a text while it is read, up to `mostBytes`; `onBytes` is called after each piece. */
export async function explainStream(
  stream: AsyncIterable<Uint8Array>,
  mostBytes: number,
  onBytes: (bytes: number) => void = () => {},
): Promise<Piped> {
  const explainer = new Explainer();
  const decoder = new TextDecoder();
  let bytes = 0;
  let words = "";
  let isCut = false;
  for await (const piece of stream) {
    isCut = bytes >= mostBytes;
    if (isCut) break;
    const text = decoder.decode(piece, { stream: true });
    explainer.write(text);
    if (words.length < WORDS_CHARS) words += text.slice(0, WORDS_CHARS);
    bytes += piece.length;
    onBytes(bytes);
  }
  return { explanations: explainer.end(), words, isCut };
}

/** Explains stdin; says so if it is too long to be read to its end. */
async function piped(): Promise<Piped> {
  using progress = new Progress();
  const onBytes = (bytes: number): void => progress.show(`${Math.floor(bytes / MiB)} MiB read`);
  const read = await explainStream(Bun.stdin.stream(), INPUT_BYTES, onBytes);
  progress.clear();
  if (read.isCut) {
    const limit = `only the first ${INPUT_BYTES / MiB} MiB of the input were read`;
    process.stderr.write(`pmxcfs-ipc: ${limit}; for the newest lines: journalctl -n 100000\n`);
  }
  return read;
}

function unknown(words: string): string {
  const name = words.trim().toUpperCase();
  const meant = looksLikeCode(words) ? suggest(name, CODE_NAMES) : undefined;
  if (meant === undefined) return nextSteps(words);
  return `${name} is not a code of --check. Did you mean ${meant}?\n`;
}

function inJson(list: readonly object[]): string {
  return `${jsonText(list, 2)}\n`;
}

export const explainCommand = command({
  name: "explain",
  summary: "Explain an error line of any PVE tool or log, and how to fix its cause",
  details: [
    "Text around the known words is ignored; without TEXT, or with -, stdin is read. A code of " +
      "--check is explained, too. Needs no network and no server.",
  ],
  examples: [
    ['explain "ipcc_send_rec[1] failed: Unknown error -1"', "an error line"],
    ["explain SOCKET_ABSENT", "a code of --check"],
    ['explain -- "-bash: cd: /etc/pve: Transport endpoint is not connected"', "after --, any text"],
    ["explain --list", "all codes"],
  ],
  exits: [[ExitCode.FAILURE, "The text is not known"]],
  options: {
    json: flag({ description: "Print JSON: an array of objects" }),
    list: flag({ description: "List all codes" }),
    markdown: flag({ description: "Print docs/diagnosis.md, or with --list docs/symptoms.md" }),
    noColor: flag({ description: "No colours" }),
  },
  operands: { text: repeated({ description: "The error line, or a code", hint: "TEXT" }) },
  async run(values) {
    const style = stdoutStyle(values.noColor);
    if (values.markdown && values.json) {
      throw new UsageFailure("--markdown and --json: only one of them");
    }
    if (values.markdown) {
      print(values.list ? renderSymptoms() : renderDiagnosis());
      return ExitCode.OK;
    }
    if (values.list) {
      print(values.json ? inJson(codeListJson()) : renderCodeList(style));
      return ExitCode.OK;
    }
    const typed = values.text.join(" ");
    if (typed === "" && process.stdin.isTTY) {
      throw new UsageFailure("TEXT is missing: an error line, or the name of a code");
    }
    const { explanations, words } =
      typed === "" || typed === "-"
        ? await piped()
        : { explanations: explain(typed), words: typed };
    const code = codeNamed(words) ?? (explanations.length === 0 ? codeIn(words) : undefined);
    if (code !== undefined) {
      print(values.json ? inJson([codeJson(code)]) : renderCode(code, style));
      return ExitCode.OK;
    }
    if (values.json) print(inJson(explanations.map(explanationJson)));
    else if (explanations.length === 0) print(unknown(words));
    else print(explanations.map((one) => renderExplanation(one, style)).join("\n"));
    return explanations.length === 0 ? ExitCode.FAILURE : ExitCode.OK;
  },
});
