/** Writes the outcomes of a run to docs/robustness.md: one row per behaviour. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { type Outcome, worstMs } from "./run.ts";

const HEAD = `# Misbehaving clients and their outcomes

The tables with "worst" are written by \`npm run robustness\`. Each row is one behaviour of
\`test/native/qb-attack.c\` against a running server that has 1024 descriptors. Beside it a libqb
client sends a request every millisecond and sometimes opens another connection; "worst" is its
longest wait for either. "Left" lists what the server uses more than before: descriptors, mappings,
directories in /dev/shm. [security.md](security.md) describes what the server protects against.

For the mount and for clusters (\`test/robust/mount.test.ts\`, \`test/robust/cluster.test.ts\`) the
well-behaved client reads and changes /etc/pve every 2 ms; beside a hostile member it only reads,
since changes wait for all members.
`;

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** Writes a section to the requested file, if there is one: replaces it, or appends it. */
function putSection(title: string, body: string): void {
  const file = process.env["PMXCFS_IPC_ROBUSTNESS"];
  if (file === undefined) return;
  const text = existsSync(file) ? readFileSync(file, "utf8") : HEAD;
  const sections = text.split(/^(?=## )/m);
  const written = `## ${title}\n\n${body}\n`;
  const at = sections.findIndex((section) => section.startsWith(`## ${title}\n`));
  if (at === -1) sections.push(`\n${written}`);
  else sections[at] = at === sections.length - 1 ? written : `${written}\n`;
  writeFileSync(file, sections.join(""));
}

/** The table of one setup of the IPC. */
export function addToTable(setup: string, outcomes: readonly Outcome[]): void {
  if (outcomes.length === 0) return;
  const rows = outcomes.map((outcome) => {
    const { group, name, did, left } = outcome;
    return `| ${group} | ${cell(name)} | ${cell(did)} | ${worstMs(outcome).toFixed(1)} | ${left} |`;
  });
  const columns = "| group | what was done | what the server did | worst, ms | left |";
  putSection(setup, [columns, "| --- | --- | --- | ---: | --- |", ...rows].join("\n"));
}

/** The outcome of a behaviour, and the results of a client that sends a request every 2 ms. */
export interface SeenRow {
  readonly name: string;
  readonly did: string;
  readonly worstMs: number;
  readonly wrong: number;
}

/** A table of these rows. */
export function replaceSection(title: string, seen: readonly SeenRow[]): void {
  if (seen.length === 0) return;
  const rows = seen.map(
    ({ name, did, worstMs: worst, wrong }) => `| ${name} | ${cell(did)} | ${worst} | ${wrong} |`,
  );
  const columns = "| behaviour | what happened | worst, ms | wrong answers |";
  putSection(title, [columns, "| --- | --- | ---: | ---: |", ...rows].join("\n"));
}
