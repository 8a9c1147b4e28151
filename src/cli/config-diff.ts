/** `config diff`: the differences between two databases, path by path. Both are only read. */
import { compareDatabases } from "../pmxcfs/rescue/compare.ts";
import { flag, path as pathOption } from "./args.ts";
import { command } from "./command.ts";
import { jsonText } from "../base/escape.ts";
import { counted } from "../base/counted.ts";
import { differenceLine, showName, warn } from "./config-text.ts";
import { CommandFailure, ExitCode } from "./failure.ts";
import { print } from "./terminal.ts";

export const diffCommand = command({
  name: "diff",
  summary: "Compare two config.db files path by path",
  details: [
    "`+`: only in the second, `-`: only in the first, `!`: other content or another type. With " +
      "--times, `~`: same content but another version, writer or time. SQL dumps are read, too.",
  ],
  examples: [
    [
      "config diff /var/lib/pve-cluster/backup/before-sync.db /var/lib/pve-cluster/config.db",
      "what a sync changed",
    ],
  ],
  exits: [[1, "The databases differ, or one cannot be read"]],
  options: {
    times: flag({ description: "Compare versions, writers and times, too" }),
    json: flag({ description: "Print one JSON object" }),
  },
  operands: {
    first: pathOption({ description: "First database", hint: "FILE", required: true }),
    second: pathOption({ description: "Second database", hint: "FILE", required: true }),
  },
  run: ({ times, json, first, second }) => {
    const compared = compareDatabases(first, second, { times });
    if (typeof compared === "string") throw new CommandFailure(showName(compared));
    for (const each of compared.problems) warn(showName(each));
    const { differences } = compared;
    if (json) {
      const shown = differences.map((each) => ({ ...each, path: showName(each.path) }));
      print(`${jsonText({ schema_version: 1, differences: shown }, 2)}\n`);
    } else {
      for (const each of differences) print(differenceLine(each));
      print(`${counted(differences.length, "difference")}\n`);
    }
    return differences.length + compared.problems.length === 0 ? ExitCode.OK : ExitCode.FAILURE;
  },
});
