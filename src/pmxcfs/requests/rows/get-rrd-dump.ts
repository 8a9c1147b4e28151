/** GET_RRD_DUMP: the latest statistics of all nodes, guests and storages. C: cfs_rrd_dump. */
import { escapeText } from "../../../base/escape.ts";
import { EMPTY } from "../encoding.ts";
import { type AnswerFormat, defineRequest } from "../request.ts";

/** The fields of the newest entry, by key (`pve-node-9.0/pve1`). */
export type RrdDump = ReadonlyMap<string, readonly string[]>;

/** Decodes lines of `key:field:field...`, up to the NUL. */
function read(body: Buffer): RrdDump {
  const nul = body.indexOf(0);
  const text = body.toString("utf8", 0, nul === -1 ? body.byteLength : nul);
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(
    lines.map((line) => {
      const [key = "", ...fields] = line.split(":");
      return [key, fields];
    }),
  );
}

const answer: AnswerFormat<RrdDump> = {
  read,
  text: (dump) =>
    dump.size === 0
      ? "no figures\n"
      : [...dump].map(([key, fields]) => `${escapeText([key, ...fields].join(":"))}\n`).join(""),
  json: (dump) => Object.fromEntries(dump),
};

export const getRrdDump = defineRequest({
  id: 10,
  name: "GET_RRD_DUMP",
  summary: "Print the newest RRD values of nodes, guests and storages",
  example: ["", "a line for each key"],
  access: "read",
  isBesideTree: true,
  minBytes: 0,
  maxBytes: 0,
  checks: ["any body: EINVAL"],
  result: "a line `key:value` for each entry of the last 5 minutes, then one NUL",
  parameters: {},
  encode: () => EMPTY,
  describe: () => ({}),
  answer,
  errors: {},
  probe: { arguments: {}, reply: "text" },
  run: ({ rrd }) => rrd.dump(),
});
