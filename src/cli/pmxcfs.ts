/**
 * `pmxcfs`: the C server's command line under its own name, for units, recipes and scripts that use
 * it: options, messages, exit codes, pid file, daemonizing. Options of `serve` are accepted too (C
 * refuses them), so that DAEMON_OPTS of /etc/default/pve-cluster can hold them.
 */
import { dirname, join } from "node:path";
import { createLog, type Log } from "../base/log.ts";
import { runDaemon } from "../daemon/daemon.ts";
import { findNodeAddress, unresolved } from "../daemon/node/node-address.ts";
import { COROSYNC_CONF, LOCK_FILE, PVE } from "../base/paths.ts";
import {
  becomeDaemon,
  DAEMON_FD,
  nameProcess,
  READY_BYTE,
  startDetached,
  writeStderr,
} from "../platform/daemonize.ts";
import { reportReady } from "../platform/notify.ts";
import { syslogWriter } from "../platform/syslog.ts";
import { flag, type Options, type Values } from "./args.ts";
import { command } from "./command.ts";
import {
  daemonOptions,
  daemonSettings,
  type DaemonValues,
  hostNode,
  mountSettings,
  withAbsolutePaths,
  writingSettings,
} from "./daemon-options.ts";
import { CommandFailure, ExitCode, UsageFailure } from "./failure.ts";
import { readWords } from "./parse-args.ts";
import { leaveSoon } from "./service-options.ts";

/** The help as C prints it: GLib's text with C's list of options. */
const USAGE = `Usage:
  pmxcfs [OPTION…]

Help Options:
  -h, --help           Show help options

Application Options:
  -d, --debug          Turn on debug messages
  -f, --foreground     Do not daemonize server
  -l, --local          Force local mode (ignore corosync.conf, force quorum)

Options of "pmxcfs-ipc serve" are taken as well: pmxcfs-ipc help serve lists them.
`;

/** C's exit code for an unknown option. */
const BAD_OPTION = 1;
/** C's exit code for every other failure: exit(-1). */
const FAILED = 255;

interface Asked {
  readonly help: boolean;
  readonly debug: boolean;
  readonly foreground: boolean;
  readonly local: boolean;
  /** Descriptor for the ready byte, in the process that becomes the daemon. */
  readonly readyFd: number | undefined;
  /** The other words: options of `serve`, and arguments. */
  readonly rest: readonly string[];
}

const LETTERS: Readonly<Record<string, keyof Asked>> = {
  h: "help",
  "?": "help",
  d: "debug",
  f: "foreground",
  l: "local",
};

const WORDS: Readonly<Record<string, keyof Asked>> = {
  "--help": "help",
  "--debug": "debug",
  "--foreground": "foreground",
  "--local": "local",
};

/** The fields that a word sets; undefined if it is not an option of C. */
function fieldsOf(word: string): readonly (keyof Asked)[] | undefined {
  const long = WORDS[word];
  if (long !== undefined) return [long];
  if (!/^-[a-z?]+$/.test(word)) return undefined;
  const fields = word
    .slice(1)
    .split("")
    .map((letter) => LETTERS[letter]);
  return fields.every((field) => field !== undefined) ? fields : undefined;
}

/** Separates C's options from the other words. */
export function parsePmxcfsWords(words: readonly string[]): Asked {
  const flags = new Set<keyof Asked>();
  const rest: string[] = [];
  let readyFd: number | undefined;
  const end = words.indexOf("--");
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const fields = fieldsOf(word);
    if (word.startsWith(DAEMON_FD)) readyFd = Number(word.slice(DAEMON_FD.length));
    else if (fields === undefined) rest.push(word);
    else for (const field of fields) flags.add(field);
  }
  if (end >= 0) rest.push(...words.slice(end));
  const has = (field: keyof Asked): boolean => flags.has(field);
  return {
    help: has("help"),
    debug: has("debug"),
    foreground: has("foreground"),
    local: has("local"),
    readyFd,
    rest,
  };
}

/**
 * Parses the options of `serve` from the other words; if they are wrong, returns C's message and
 * exit code. The settings are made to check the values, before a daemon is started.
 */
function readRest(rest: readonly string[]): DaemonValues | { code: number; text: string } {
  try {
    const values = withAbsolutePaths(readWords(rest, daemonOptions, {}));
    daemonSettings(values);
    mountSettings(values, PVE.database);
    return values;
  } catch (error) {
    if (!(error instanceof UsageFailure)) throw error;
    const unknown = /^unknown option "([^"]*)"/.exec(error.message)?.[1];
    if (unknown !== undefined) {
      return { code: BAD_OPTION, text: `option parsing failed: Unknown option ${unknown}` };
    }
    if (error.message.startsWith("unexpected argument")) {
      return { code: FAILED, text: "too many arguments" };
    }
    return { code: BAD_OPTION, text: `option parsing failed: ${error.message}` };
  }
}

function logOf(asked: Asked, values: DaemonValues): Log {
  const level = asked.debug ? "debug" : values.logLevel;
  // A daemon closes its stderr when it is ready; until then C reports there why it cannot start.
  if (asked.readyFd !== undefined) {
    return createLog({ level, format: "journal", write: syslogWriter("pmxcfs", writeStderr) });
  }
  const underSystemd = process.env["JOURNAL_STREAM"] !== undefined;
  return createLog({ level, format: values.log ?? (underSystemd ? "journal" : "bare") });
}

/**
 * Has every exception that ends the process logged, for a daemon: cli/main.ts, which handles them,
 * prints them to stderr. The returned function logs one that is thrown further.
 */
export function logCrashes(log: Log): (error: unknown) => void {
  const say = (error: unknown): void => {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.tagged("main").error(`unexpected error: ${text}`);
  };
  process.prependListener("uncaughtException", say);
  process.prependListener("unhandledRejection", say);
  return say;
}

/** Prints each line of `text` as C does, and returns `code`. */
function fail(log: Log, text: string, code: number): number {
  for (const line of text.split("\n")) log.tagged("main").error(line);
  return code;
}

async function serveNode(asked: Asked, values: DaemonValues, log: Log): Promise<number> {
  const main = log.tagged("main");
  const nodeName = hostNode();
  const looked = await findNodeAddress(nodeName);
  if ("reason" in looked) return fail(log, unresolved(nodeName, looked.reason), FAILED);
  main.info(`resolved node name '${nodeName}' to '${looked.address}' for default node IP address`);
  const { readyFd } = asked;
  const ready = (): void => {
    if (readyFd === undefined) return;
    becomeDaemon();
    reportReady(readyFd, READY_BYTE);
  };
  const failure = await runDaemon({
    ...daemonSettings(values),
    store: { own: PVE.database, writing: writingSettings(values), nodeName },
    node: {
      ...PVE,
      local: asked.local,
      lockFile: join(dirname(PVE.database), LOCK_FILE),
      hostCorosyncConf: COROSYNC_CONF,
      ...mountSettings(values, PVE.database),
      ready,
    },
    log,
  });
  if (failure !== undefined) return fail(log, failure, FAILED);
  main.info("exit proxmox configuration filesystem (0)");
  return ExitCode.OK;
}

/** Runs `pmxcfs WORDS` and returns its exit code. `out` gets the help. */
export async function runPmxcfs(
  words: readonly string[],
  out: (text: string) => void,
): Promise<number> {
  const asked = parsePmxcfsWords(words);
  const values = readRest(asked.rest);
  if (asked.help) {
    out(USAGE);
    return ExitCode.OK;
  }
  if ("code" in values) {
    return fail(createLog({ level: "info", format: "bare" }), values.text, values.code);
  }
  // With Type=notify, systemd waits for READY=1 from this process, so it must not fork.
  const stays = asked.foreground || process.env["NOTIFY_SOCKET"] !== undefined;
  if (!stays && asked.readyFd === undefined) {
    const code = await startDetached(["pmxcfs", ...words]);
    const log = createLog({ level: "info", format: "bare" });
    return code === undefined ? fail(log, "child failed to send '1'", FAILED) : code;
  }
  nameProcess("pmxcfs");
  const log = logOf(asked, values);
  const logCrash = asked.readyFd === undefined ? undefined : logCrashes(log);
  try {
    return await serveNode(asked, values, log);
  } catch (error) {
    logCrash?.(error);
    throw error;
  } finally {
    leaveSoon();
  }
}

const own = {
  local: flag({ description: "No cluster, even with a corosync.conf in the tree", alias: "l" }),
  foreground: flag({ description: "Do not become a daemon", alias: "f" }),
} satisfies Options;

export const pmxcfsCommand = command({
  name: "pmxcfs",
  summary: "Run as this node's pmxcfs, with the C server's command line",
  details: [
    "A link named pmxcfs to this program runs this command. It mounts /etc/pve, stores the tree " +
      "in /var/lib/pve-cluster/config.db, and becomes a daemon unless -f is given.",
  ],
  examples: [["pmxcfs -l", "the node alone, whatever its corosync.conf says"]],
  exits: [
    [1, "Unknown option"],
    [FAILED, "It could not start; the last line says why"],
  ],
  options: { ...own, ...daemonOptions },
  run(values: Values<typeof own>) {
    // cli/main.ts calls runPmxcfs before the words are parsed here.
    throw new CommandFailure(`pmxcfs was not started as such (${values.local})`);
  },
});
