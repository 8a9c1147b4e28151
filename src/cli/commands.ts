/**
 * The root of the command tree: one row per command, which is loaded only when it is used. A new
 * command is a file with a `...Command` export and a row here.
 */
import { commandGroup, type Load } from "./command.ts";

const COMMANDS: Readonly<Record<string, Load>> = {
  serve: async () => (await import("./serve.ts")).serveCommand,
  pmxcfs: async () => (await import("./pmxcfs.ts")).pmxcfsCommand,
  check: async () => (await import("./check.ts")).checkCommand,
  explain: async () => (await import("./explain.ts")).explainCommand,
  call: async () => (await import("./call.ts")).callCommand,
  compat: async () => (await import("./compat.ts")).compatCommand,
  bench: async () => (await import("./bench.ts")).benchCommand,
  trace: async () => (await import("./trace.ts")).traceCommand,
  record: async () => (await import("./record.ts")).recordCommand,
  replay: async () => (await import("./replay.ts")).replayCommand,
  config: async () => (await import("./config.ts")).configCommand,
  history: async () => (await import("./history.ts")).historyCommand,
  cluster: async () => (await import("./cluster.ts")).clusterCommand,
  top: async () => (await import("./top.ts")).topCommand,
  echo: async () => (await import("./echo.ts")).echoCommand,
};

export const rootCommand = commandGroup(
  {
    name: "pmxcfs-ipc",
    summary: "Proxmox VE's cluster file system (pmxcfs), and tools for any pmxcfs",
    details: [
      "pmxcfs-ipc COMMAND --help describes a command. Results go to stdout, everything " +
        "else to stderr.",
    ],
    exits: [
      [0, "Success"],
      [1, "Failure; one line on stderr says why"],
      [2, "Wrong usage"],
    ],
  },
  COMMANDS,
  // Names that users try first on an unfamiliar host.
  { "--check": "check", doctor: "check", status: "check" },
);
