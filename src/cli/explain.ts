/** `pmxcfs-ipc explain`: what an error line means. Offline; the words are check/'s. */
import { renderDiagnosis } from "../tools/check/diagnosis.ts";
import { codeNamed, explain } from "../tools/check/explain.ts";
import {
  explanationJson,
  renderCode,
  renderCodeList,
  renderExplanation,
} from "../tools/check/explain-text.ts";
import { flag, repeated } from "./args.ts";
import { command } from "./command.ts";
import { ExitCode, UsageFailure } from "./failure.ts";
import { print, stdoutStyle } from "./terminal.ts";

/** More than anybody pastes; a log piped in whole is cut. */
const INPUT_CHARS = 1_000_000;

async function given(words: readonly string[]): Promise<string> {
  const typed = words.join(" ");
  if (typed !== "" && typed !== "-") return typed;
  if (typed === "" && process.stdin.isTTY) {
    throw new UsageFailure("TEXT is missing: an error line, or the name of a code");
  }
  return (await Bun.stdin.text()).slice(0, INPUT_CHARS);
}

export const explainCommand = command({
  name: "explain",
  summary: "Tell what an error line of any PVE tool or log means, and how to fix it",
  details: [
    "Whatever stands around the known words is ignored; without TEXT, or with -, stdin is read. " +
      "A code of --check is explained as well. Needs no network and no server.",
  ],
  examples: [
    ['explain "ipcc_send_rec[1] failed: Unknown error -1"', "an error line"],
    ["explain SOCKET_ABSENT", "a code of --check"],
    ["explain --list", "all codes"],
  ],
  exits: [[ExitCode.FAILURE, "Nothing is known about this text"]],
  options: {
    json: flag({ description: "As JSON" }),
    list: flag({ description: "List all codes" }),
    markdown: flag({ description: "Everything: docs/diagnosis.md" }),
    noColor: flag({ description: "No colours" }),
  },
  operands: { text: repeated({ description: "The error line, or a code", hint: "TEXT" }) },
  async run(values) {
    const style = stdoutStyle(values.noColor);
    if (values.list) {
      print(renderCodeList(style));
      return ExitCode.OK;
    }
    if (values.markdown) {
      print(renderDiagnosis());
      return ExitCode.OK;
    }
    const pasted = await given(values.text);
    const code = codeNamed(pasted);
    if (code !== undefined) {
      print(renderCode(code, style));
      return ExitCode.OK;
    }
    const explanations = explain(pasted);
    if (values.json) {
      print(`${JSON.stringify(explanations.map(explanationJson), undefined, 2)}\n`);
    } else if (explanations.length === 0) {
      print(
        "Nothing is known about this text. `pmxcfs-ipc --check` looks at the machine itself.\n",
      );
    } else {
      print(explanations.map((one) => renderExplanation(one, style)).join("\n"));
    }
    return explanations.length === 0 ? ExitCode.FAILURE : ExitCode.OK;
  },
});
