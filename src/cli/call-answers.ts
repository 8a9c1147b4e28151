/** Answers of the twelve requests as text for people and as JSON. */
import { alignColumns } from "../base/table.ts";
import * as answers from "../pmxcfs/client/cfs-answers.ts";
import { QbFailure } from "../client/failure.ts";
import { CommandFailure } from "./failure.ts";

/** How an answer is shown. */
export interface Shown {
  /** For people; bytes are written as they are. */
  readonly text: (body: Buffer) => string | Uint8Array;
  /** For `--json`. */
  readonly json: (body: Buffer) => unknown;
}

/** A parsed answer, or the end of the command. */
function sound<T>(parsed: T | QbFailure): T {
  if (parsed instanceof QbFailure) throw new CommandFailure(`${parsed.message} (--hex shows it)`);
  return parsed;
}

/** Lines of a table, each with its newline. */
function table(rows: readonly (readonly string[])[]): string {
  return alignColumns(rows)
    .map((line) => `${line}\n`)
    .join("");
}

function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

export const FS_VERSION: Shown = {
  json: (body) => sound(answers.fsVersions(body)),
  text(body) {
    const { starttime, clinfo, vmlist, kvstore, files } = sound(answers.fsVersions(body));
    const keys = Object.entries(kvstore).flatMap(([node, values]) =>
      Object.entries(values).map(([key, version]) => [`kvstore ${node} ${key}`, String(version)]),
    );
    return table([
      ["starttime", `${starttime} (${time(starttime)})`],
      ["clinfo", String(clinfo)],
      ["vmlist", String(vmlist)],
      ...Object.entries(files).map(([path, version]) => [path, String(version)]),
      ...keys,
    ]);
  },
};

export const CLUSTER_INFO: Shown = {
  json: (body) => sound(answers.clusterInfo(body)),
  text(body) {
    const { nodename, version, cluster, nodelist = {} } = sound(answers.clusterInfo(body));
    const head = `node ${nodename}, version ${version}`;
    if (cluster === undefined) return `${head}, in no cluster\n`;
    const quorate = cluster.quorate === 1 ? "quorate" : "not quorate";
    const nodes = Object.entries(nodelist).map(([name, { id, online, ip = "-" }]) => [
      `  ${name}`,
      `id ${id}`,
      online === 1 ? "online" : "offline",
      ip,
    ]);
    return `${head}\ncluster ${cluster.name}, ${cluster.nodes} nodes, ${quorate}\n${table(nodes)}`;
  },
};

export const GUEST_LIST: Shown = {
  json: (body) => sound(answers.guestList(body)),
  text(body) {
    const { ids } = sound(answers.guestList(body));
    const guests = Object.entries(ids).toSorted(([one], [other]) => Number(one) - Number(other));
    if (guests.length === 0) return "no guests\n";
    const rows = guests.map(([vmid, { node, type, version }]) => [
      vmid,
      type,
      node,
      String(version),
    ]);
    return table([["VMID", "TYPE", "NODE", "VERSION"], ...rows]);
  },
};

export const CLUSTER_LOG: Shown = {
  json: (body) => sound(answers.clusterLog(body)),
  text(body) {
    const entries = sound(answers.clusterLog(body));
    if (entries.length === 0) return "no entries\n";
    return entries
      .map(({ time: at, node, tag, pid, pri, user, msg }) => {
        return `${time(at)} ${node} ${tag}[${pid}] <${pri}> ${user}: ${msg}\n`;
      })
      .join("");
  },
};

export const RRD_DUMP: Shown = {
  json: (body) => Object.fromEntries(answers.rrdDump(body)),
  text(body) {
    const lines = body.toString("utf8").replaceAll("\0", "");
    return lines === "" ? "no figures\n" : lines;
  },
};

export const PROPERTIES: Shown = {
  json: (body) => sound(answers.guestProperties(body)),
  text(body) {
    const rows = Object.entries(sound(answers.guestProperties(body))).flatMap(([vmid, values]) =>
      Object.entries(values).map(([name, value]) => [vmid, `${name}: ${value}`]),
    );
    return rows.length === 0 ? "none is set\n" : table(rows);
  },
};

/** JSON cannot carry all bytes: text when it is UTF-8, else base64. */
function carried(body: Buffer): { text: string } | { base64: string } {
  const text = body.toString("utf8");
  return Buffer.from(text, "utf8").equals(body) ? { text } : { base64: body.toString("base64") };
}

/** Files and status values: exactly their bytes. */
export const BYTES: Shown = { json: carried, text: (body) => body };

/** Requests that answer nothing but success. */
export const DONE: Shown = { json: () => true, text: () => "done\n" };

function isControl(byte: number): boolean {
  return byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d;
}

/** Unknown requests: text where it is text, else hex. */
export const RAW: Shown = {
  json: carried,
  text(body) {
    if (body.byteLength === 0) return "an empty answer\n";
    const shown = carried(body);
    const readable = "text" in shown && !body.subarray(0, -1).some(isControl);
    if (!readable) return `${body.toString("hex")}\n`;
    return `${shown.text.replace(/[\n\0]*$/, "")}\n`;
  },
};
