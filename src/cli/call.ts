/** `pmxcfs-ipc call`: sends one request; one command per row of the request table, and `raw`. */
import { readFileSync } from "node:fs";
import { errorText } from "../base/error-text.ts";
import { CfsIpc, type AnyRequest, REQUESTS } from "../pmxcfs/requests/table.ts";
import { aliasesOf, wordOf } from "../pmxcfs/requests/wording.ts";
import type { Parameter } from "../pmxcfs/requests/request.ts";
import { count, flag, hex, integer, list, path, text, type Option, type Options } from "./args.ts";
import { callOptions, perform, rawAnswer } from "./call-perform.ts";
import { command, commandGroup, type Command, type Load } from "./command.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import { belowPve } from "./pve-path.ts";
import { ID_RANGE } from "./request-words.ts";

const EMPTY = Buffer.alloc(0);

/** The values from the command line, by option. */
type Given = Readonly<Record<string, unknown>>;

/** The fields of an option that its parameter determines. */
function common({ description, required, defaultText }: Parameter) {
  return {
    description,
    ...(required === true ? { required: true as const } : {}),
    ...(defaultText === undefined ? {} : { defaultText }),
  };
}

function fileOption(what: string): Option<string | undefined> {
  return path({ description: `Read the ${what} from a file, or from stdin (-)`, hint: "FILE" });
}

/** The options of a value: from the command line, from a file, or none. */
function valueOptions(key: string, parameter: Parameter): Options {
  return {
    [key]: text(common(parameter)),
    file: fileOption(key),
    remove: flag({ description: "Remove the key" }),
    nul: flag({ description: "Append a NUL to the value, as PVE's own code does" }),
  };
}

/** The options or operands of one parameter, by name. */
function optionsOf(key: string, parameter: Parameter): Options {
  const { kind, max, default: given } = parameter;
  const spec = common(parameter);
  if (kind === "value") return valueOptions(key, parameter);
  if (kind === "names") return { [key]: list(spec) };
  if (kind === "number") {
    const bounds = max === undefined ? {} : { max };
    const withDefault = typeof given === "number" ? { default: given } : {};
    return { [key]: count({ ...spec, ...bounds, ...withDefault }) };
  }
  return { [key]: text({ ...spec, ...(typeof given === "string" ? { default: given } : {}) }) };
}

function partsOf(request: AnyRequest): { options: Options; operands: Options } {
  const parts: { options: Options; operands: Options } = { options: {}, operands: {} };
  for (const [key, parameter] of Object.entries(request.parameters)) {
    const where = parameter.positional === true ? "operands" : "options";
    parts[where] = { ...parts[where], ...optionsOf(key, parameter) };
    if (parameter.kind === "secret") parts.options = { ...parts.options, file: fileOption(key) };
  }
  return parts;
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw new CommandFailure(`cannot read ${file}: ${errorText(error)}`);
  }
}

/** The value: exactly one of --value, --file and --remove must be given. */
function valueOf(key: string, given: Given): Buffer | undefined {
  const { [key]: value, file, remove, nul } = given;
  const sources = [file !== undefined, value !== undefined, remove === true].filter(Boolean);
  if (sources.length !== 1) {
    throw new UsageFailure(`one of --${key}, --file and --remove is needed`);
  }
  if (remove === true) return undefined;
  const bytes = typeof file === "string" ? readFile(file) : Buffer.from(String(value), "utf8");
  return nul === true ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes;
}

function secretOf(key: string, given: Given): string {
  const { [key]: secret, file } = given;
  if ((secret === undefined) === (file === undefined)) {
    throw new UsageFailure(`one of ${key.toUpperCase()} and --file is needed`);
  }
  const word = typeof file === "string" ? readFile(file).toString("utf8") : String(secret);
  return word.replace(/\n$/, "");
}

/** The arguments of a request from the values of the command line. */
function argumentsOf(request: AnyRequest, given: Given): Given {
  return Object.fromEntries(
    Object.entries(request.parameters).map(([key, { kind }]) => {
      if (kind === "value") return [key, valueOf(key, given)];
      if (kind === "secret") return [key, secretOf(key, given)];
      if (kind === "path") return [key, belowPve(String(given[key]))];
      return [key, given[key]];
    }),
  );
}

const EXITS = [[1, "The server answered with an error, or did not answer"]] as const;

function requestCommand(request: AnyRequest): Command {
  const { summary, details, example } = request;
  const name = wordOf(request);
  const { options, operands } = partsOf(request);
  return command({
    name,
    summary,
    ...(details === undefined ? {} : { details }),
    examples: [[`call ${name} ${example[0]}`.trimEnd(), example[1]]],
    exits: EXITS,
    options: { ...options, ...callOptions },
    operands,
    run: async (values) => {
      const given: Given = values;
      const { id, answer } = request;
      const body = request.encode(argumentsOf(request, given));
      await perform({ id, name, body, answer, given }, values);
    },
  });
}

const rawCommand = command({
  name: "raw",
  summary: "Send any request, given its id and its body in hex",
  examples: [["call raw 6 73746f726167652e63666700", "storage.cfg"]],
  exits: EXITS,
  options: callOptions,
  operands: {
    id: integer({ description: "Message id", required: true, ...ID_RANGE }),
    body: hex({
      description: "Body, without the 16-byte header",
      default: EMPTY,
      defaultText: "empty",
    }),
  },
  async run(values) {
    const { id } = values;
    const body = Buffer.from(values.body);
    await perform({ id, name: `raw ${id}`, body, answer: rawAnswer, given: {} }, values);
  },
});

const COMMANDS = new Map([
  ...REQUESTS.map((request): [string, Command] => [wordOf(request), requestCommand(request)]),
  ["raw", rawCommand] as const,
]);

const CHILDREN: Readonly<Record<string, Load>> = Object.fromEntries(
  [...COMMANDS].map(([name, each]): [string, Load] => [name, () => Promise.resolve(each)]),
);

/** Aliases, such as `config` for `get-config`. */
const ALIASES: Readonly<Record<string, string>> = Object.fromEntries(
  REQUESTS.flatMap((request) => aliasesOf(request).map((alias) => [alias, wordOf(request)])),
);

export const callCommand = commandGroup(
  {
    name: "call",
    summary: "Send one request to a running service",
    details: [
      `Each of pmxcfs's ${Object.keys(CfsIpc).length} requests is a command; raw sends any other ` +
        "request. The prefix get- may be left out: `call cluster-log`.",
    ],
    examples: [
      ["call get-config storage.cfg", "a file below /etc/pve"],
      ["call get-guest-config-properties --vmid 100 name cores", "two properties of a guest"],
      ["call cluster-log --user root@pam --max 20", "the last entries of root"],
    ],
  },
  CHILDREN,
  ALIASES,
);
