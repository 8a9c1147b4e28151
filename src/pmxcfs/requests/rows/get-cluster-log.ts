/** GET_CLUSTER_LOG: the newest entries, of all users or of one. C: cfs_cluster_log_dump. */
import { escapeText } from "../../../base/escape.ts";
import { newSpan, prefix, u32 } from "../../../wire/struct.ts";
import { tail, textAt } from "../../../wire/text.ts";
import { jsonAnswer, timeText } from "../answer.ts";
import { badNumber, badText, shownText, terminated } from "../encoding.ts";
import { redactedJson } from "../redaction.ts";
import { defineRequest } from "../request.ts";

/** Followed by the user, NUL-terminated; empty for all users. */
const layout = prefix({ maxEntries: u32, reserved1: u32, reserved2: u32, reserved3: u32 });

/** An entry of the cluster log in the answer. */
export interface ClusterLogEntry {
  readonly uid: number;
  /** Unix time. */
  readonly time: number;
  readonly pri: number;
  readonly tag: string;
  readonly pid: number;
  readonly node: string;
  readonly user: string;
  readonly msg: string;
}

function entriesText(entries: readonly ClusterLogEntry[]): string {
  if (entries.length === 0) return "no entries\n";
  return entries
    .map(({ time, node, tag, pid, pri, user, msg }) => {
      const line = `${timeText(time)} ${node} ${tag}[${pid}] <${pri}> ${user}: ${msg}`;
      return `${escapeText(line)}\n`;
    })
    .join("");
}

interface Filter {
  /** 0: the server's default, 50. */
  readonly max?: number | undefined;
  /** "": of all users. */
  readonly user?: string | undefined;
}

export const getClusterLog = defineRequest({
  id: 8,
  name: "GET_CLUSTER_LOG",
  summary: "Print the newest entries of the cluster log",
  example: ["--user root@pam --max 20", "what root did last"],
  access: "read",
  isBesideTree: true,
  minBytes: layout.size + 1,
  maxBytes: Infinity,
  layout,
  tail: "user",
  checks: ["size <= 32: EINVAL", "the last byte is taken as NUL"],
  result: "JSON: entries, newest first; max 0 means 50, an empty user means all",
  parameters: {
    max: {
      kind: "number",
      description: "Largest number of entries",
      defaultText: "50",
      max: 0xffffffff,
    },
    user: { kind: "text", description: "Only entries of this user" },
  },
  encode({ max = 0, user = "" }: Filter) {
    const bad = badText("the user", user) ?? badNumber("the number", max, 0xffffffff);
    if (bad !== undefined) return bad;
    const span = newSpan(layout.size);
    layout.write.maxEntries(span, max);
    return Buffer.concat([span.bytes, terminated(user)]);
  },
  describe: (span) => ({
    max_entries: layout.read.maxEntries(span),
    user: shownText(textAt(span, layout.size)),
  }),
  answer: jsonAnswer<readonly ClusterLogEntry[]>(
    "cluster log",
    ({ data }) => data as readonly ClusterLogEntry[],
    entriesText,
  ),
  errors: {},
  redact: {
    reply(_, reply) {
      const text = Buffer.from(reply).toString("utf8");
      const cut = redactedJson(text, (key) => key === "msg");
      return cut === text ? reply : Buffer.from(cut, "utf8");
    },
  },
  probe: { arguments: { max: 50 }, reply: "json" },
  run: ({ clusterLog }, body) =>
    clusterLog.dump(tail(body, layout.size), layout.read.maxEntries(body)),
});
