/** The two commands of the diagnosis, from the sources: what tests run in namespaces of their own. */
import { commandGroup } from "../../src/cli/command.ts";
import { runCommandLine } from "../../src/cli/main.ts";
import { print } from "../../src/cli/terminal.ts";

const root = commandGroup(
  { name: "pmxcfs-ipc", summary: "the diagnosis" },
  {
    check: async () => (await import("../../src/cli/check.ts")).checkCommand,
    explain: async () => (await import("../../src/cli/explain.ts")).explainCommand,
  },
);

process.exitCode = await runCommandLine(
  process.argv.slice(2),
  { out: print, err: (text) => process.stderr.write(text), debug: false },
  root,
);
