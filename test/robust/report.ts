/** The outcomes as docs/robustness.md: one row per behaviour, written by the run that saw them. */
import { appendFileSync, writeFileSync } from "node:fs";
import { type Outcome, worstMs } from "./run.ts";

const HEAD = `# Misbehaving clients, and what became of them

Written by \`npm run robustness\`: not by hand. Each row is one behaviour of
\`test/native/qb-attack.c\`, shown to a running server that has 1024 descriptors. Beside it a libqb
client sends a request every millisecond and connects anew now and then; "worst" is the longest it
waited for either. "Left" is what the server holds more than before: descriptors, mappings,
directories in /dev/shm. What each setup protects against is told in [security.md](security.md).
`;

let begun = false;

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** Appends the table of one setup to the file that was asked for, if one was. */
export function addToTable(setup: string, outcomes: readonly Outcome[]): void {
  const file = process.env["PMXCFS_IPC_ROBUSTNESS"];
  if (file === undefined || outcomes.length === 0) return;
  if (!begun) writeFileSync(file, HEAD);
  begun = true;
  const rows = outcomes.map((outcome) => {
    const { group, name, did, left } = outcome;
    return `| ${group} | ${cell(name)} | ${cell(did)} | ${worstMs(outcome).toFixed(1)} | ${left} |`;
  });
  const columns = "| group | what was done | what the server did | worst, ms | left |";
  const head = `\n## ${setup}\n\n${columns}\n| --- | --- | --- | ---: | --- |`;
  appendFileSync(file, `${head}\n${rows.join("\n")}\n`);
}
