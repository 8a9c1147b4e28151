/** `pmxcfs-ipc call`: one request from the shell, a command each. */
import { errorText } from "../base/error-text.ts";
import { readFileSync } from "node:fs";
import * as make from "../pmxcfs/client/cfs-requests.ts";
import type { QbFailure } from "../client/failure.ts";
import { CfsIpc } from "../pmxcfs/requests/layouts.ts";
import { count, flag, hex, integer, list, path, text, type Options, type Values } from "./args.ts";
import * as show from "./call-answers.ts";
import { callOptions, perform } from "./call-perform.ts";
import { command, commandGroup, type Command, type Load } from "./command.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";

interface RequestSpec<O extends Options, P extends Options> {
  readonly name: string;
  readonly summary: string;
  readonly details?: readonly string[];
  readonly id: CfsIpc;
  readonly options?: O;
  readonly operands?: P;
  readonly body: (values: Values<O> & Values<P>) => Buffer | QbFailure;
  readonly shown: show.Shown;
  readonly example: readonly [line: string, meaning: string];
}

/** A command that asks one request. */
function requestCommand<const O extends Options, const P extends Options>(
  spec: RequestSpec<O, P>,
): Command {
  const { name, summary, details, id, body, shown, example } = spec;
  return command({
    name,
    summary,
    ...(details === undefined ? {} : { details }),
    examples: [[`call ${example[0]}`, example[1]]],
    exits: [[1, "The server answered an error, or there was no answer"]],
    options: { ...(spec.options ?? ({} as O)), ...callOptions },
    operands: spec.operands ?? ({} as P),
    run: async (values) => {
      const given = values as unknown as Values<O> & Values<P>;
      await perform({ id, name, body: body(given), shown }, values);
    },
  });
}

const EMPTY = Buffer.alloc(0);

function readFile(file: string): Buffer {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    const why = errorText(error);
    throw new CommandFailure(`cannot read ${file}: ${why}`);
  }
}

/** The value of set-status: from exactly one place. */
function statusValue(given: {
  readonly file: string | undefined;
  readonly value: string | undefined;
  readonly remove: boolean;
  readonly nul: boolean;
}): Buffer | undefined {
  const { file, value, remove, nul } = given;
  const sources = [file !== undefined, value !== undefined, remove].filter(Boolean).length;
  if (sources !== 1) throw new UsageFailure("one of --value, --file and --remove is needed");
  if (remove) return undefined;
  const bytes = file === undefined ? Buffer.from(value ?? "", "utf8") : readFile(file);
  return nul ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes;
}

const vmid = integer({ description: "Guest; 0 is all of them", required: true, min: 0 });

const COMMANDS: readonly Command[] = [
  requestCommand({
    name: "get-fs-version",
    summary: "Version counters of what PVE watches",
    id: CfsIpc.GET_FS_VERSION,
    body: () => EMPTY,
    shown: show.FS_VERSION,
    example: ["get-fs-version --json", "counters as JSON"],
  }),
  requestCommand({
    name: "get-cluster-info",
    summary: "Nodes, quorum and addresses",
    id: CfsIpc.GET_CLUSTER_INFO,
    body: () => EMPTY,
    shown: show.CLUSTER_INFO,
    example: ["get-cluster-info", "who is in the cluster"],
  }),
  requestCommand({
    name: "get-guest-list",
    summary: "All guests, where they are, and the version of their configs",
    id: CfsIpc.GET_GUEST_LIST,
    body: () => EMPTY,
    shown: show.GUEST_LIST,
    example: ["get-guest-list", "a table"],
  }),
  requestCommand({
    name: "set-status",
    summary: "Set or remove a key of this node's status",
    id: CfsIpc.SET_STATUS,
    options: {
      value: text({ description: "The value" }),
      file: path({ description: "Read the value from a file, or from stdin (-)", hint: "FILE" }),
      remove: flag({ description: "Remove the key" }),
      nul: flag({ description: "End the value with a NUL, as PVE's own code does" }),
    },
    operands: { key: text({ description: "The key", required: true }) },
    body: (values) => make.setStatusBody(values.key, statusValue(values)),
    shown: show.DONE,
    example: ["set-status my-key --file value.json", "the file's bytes"],
  }),
  requestCommand({
    name: "get-status",
    summary: "A node's value of a status key, byte by byte",
    id: CfsIpc.GET_STATUS,
    options: { node: text({ description: "The node", defaultText: "the one that answers" }) },
    operands: { key: text({ description: "The key", required: true }) },
    body: ({ key, node }) => make.getStatusBody(key, node),
    shown: show.BYTES,
    example: ["get-status tasklist --node pve2", "another node's tasks"],
  }),
  requestCommand({
    name: "get-config",
    summary: "A file below /etc/pve, byte by byte",
    id: CfsIpc.GET_CONFIG,
    operands: { path: text({ description: "Its path below /etc/pve", required: true }) },
    body: (values) => make.getConfigBody(values.path),
    shown: show.BYTES,
    example: ["get-config storage.cfg", "the storages"],
  }),
  requestCommand({
    name: "log-cluster-msg",
    summary: "Write an entry into the cluster log",
    id: CfsIpc.LOG_CLUSTER_MSG,
    options: {
      priority: count({ description: "syslog's, 0 to 7", default: 6, max: 255 }),
      user: text({ description: "Who did it", default: "root@pam" }),
      tag: text({ description: "The program", default: "pmxcfs-ipc" }),
    },
    operands: { message: text({ description: "What happened", required: true }) },
    body: (entry) => make.logClusterMessageBody(entry),
    shown: show.DONE,
    example: ["log-cluster-msg --tag backup 'all done'", "an entry"],
  }),
  requestCommand({
    name: "cluster-log",
    summary: "The newest entries of the cluster log",
    id: CfsIpc.GET_CLUSTER_LOG,
    options: {
      max: count({ description: "So many", defaultText: "the server's 50", max: 0xffffffff }),
      user: text({ description: "Only this user's" }),
    },
    body: ({ max, user }) => make.getClusterLogBody(max, user),
    shown: show.CLUSTER_LOG,
    example: ["cluster-log --user root@pam --max 20", "what root did last"],
  }),
  requestCommand({
    name: "get-rrd-dump",
    summary: "The newest performance figures of nodes, guests and storages",
    id: CfsIpc.GET_RRD_DUMP,
    body: () => EMPTY,
    shown: show.RRD_DUMP,
    example: ["get-rrd-dump", "a line for each key"],
  }),
  requestCommand({
    name: "get-guest-config-property",
    summary: "One property of a guest's config",
    id: CfsIpc.GET_GUEST_CONFIG_PROPERTY,
    options: { vmid },
    operands: { property: text({ description: "Its name", required: true }) },
    body: (values) => make.guestPropertyBody(values.vmid, values.property),
    shown: show.PROPERTIES,
    example: ["get-guest-config-property --vmid 0 lock", "every locked guest"],
  }),
  requestCommand({
    name: "get-guest-config-properties",
    summary: "Several properties of a guest's config",
    id: CfsIpc.GET_GUEST_CONFIG_PROPERTIES,
    options: { vmid },
    operands: { properties: list({ description: "Their names", required: true }) },
    body: (values) => make.guestPropertiesBody(values.vmid, values.properties),
    shown: show.PROPERTIES,
    example: ["get-guest-config-properties --vmid 100 name cores", "two of one guest"],
  }),
  requestCommand({
    name: "verify-token",
    summary: "Whether priv/token.cfg has a token",
    details: ["A token on the command line is seen by every user of the machine: use --file."],
    id: CfsIpc.VERIFY_TOKEN,
    options: {
      file: path({ description: "Read the token from a file, or from stdin (-)", hint: "FILE" }),
    },
    operands: { token: text({ description: "USER@REALM!NAME SECRET" }) },
    body({ token, file }) {
      if ((token === undefined) === (file === undefined)) {
        throw new UsageFailure("one of TOKEN and --file is needed");
      }
      const word = file === undefined ? (token ?? "") : readFile(file).toString("utf8");
      return make.verifyTokenBody(word.replace(/\n$/, ""));
    },
    shown: show.DONE,
    example: ["verify-token --file -", "from stdin"],
  }),
];

const rawCommand = command({
  name: "raw",
  summary: "Any request at all: its id, and its body in hex",
  examples: [["call raw 6 73746f726167652e63666700", "storage.cfg"]],
  exits: [[1, "The server answered an error, or there was no answer"]],
  options: callOptions,
  operands: {
    id: integer({ description: "Its id", required: true, min: -0x80000000, max: 0x7fffffff }),
    body: hex({ description: "Its body, without the 16-byte header", default: EMPTY }),
  },
  async run(values) {
    const body = Buffer.from(values.body);
    await perform({ id: values.id, name: `raw ${values.id}`, body, shown: show.RAW }, values);
  },
});

const CHILDREN: Readonly<Record<string, Load>> = Object.fromEntries(
  [...COMMANDS, rawCommand].map((each): [string, Load] => [
    each.text.name,
    () => Promise.resolve(each),
  ]),
);

export const callCommand = commandGroup(
  {
    name: "call",
    summary: "Ask a running service one request",
    details: ["Each of pmxcfs's twelve requests is a command; raw asks anything else."],
    examples: [
      ["call get-config storage.cfg", "a file below /etc/pve"],
      ["call get-guest-config-properties --vmid 100 name cores", "two properties of a guest"],
      ["call cluster-log --user root@pam --max 20", "what root did last"],
    ],
  },
  CHILDREN,
);
