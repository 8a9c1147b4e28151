/** rrdcached, which pmxcfs waits for, and how old the numbers behind the graphs are. */
import { connect } from "node:net";
import { errnoText, errnoOf } from "../../../base/errno.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";

/** pvestatd sends every 10 s; the server forgets after 5 minutes. */
const AGE_LIMIT_S = 120;
const CLOCK_LIMIT_S = 60;
const KEYS_SHOWN = 4;

type Reply = { readonly text: string } | { readonly code: string } | "timeout";

/** One command to rrdcached, one line back. */
export function askRrdcached(path: string, command: string, timeoutMs: number): Promise<Reply> {
  const { promise, resolve } = Promise.withResolvers<Reply>();
  const socket = connect(path);
  let text = "";
  const end = (reply: Reply) => {
    clearTimeout(timer);
    socket.destroy();
    resolve(reply);
  };
  const timer = setTimeout(() => end("timeout"), timeoutMs);
  socket.on("error", (error: NodeJS.ErrnoException) => end({ code: error.code ?? "EIO" }));
  socket.on("close", () => end({ code: "ECONNRESET" }));
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    if (text.includes("\n")) end({ text: text.slice(0, text.indexOf("\n")) });
  });
  socket.write(`${command}\n`);
  return promise;
}

/** Whether the daemon answers: this machine's side of it. */
export const rrdcachedProbe: Probe = {
  check: "rrd",
  async run({ machine, options, left }) {
    const path = machine.paths.rrdSocket;
    const used = typeof (await machine.info(machine.paths.rrdFiles)) !== "number";
    if (typeof (await machine.info(path)) === "number") {
      if (!used) return [skip("rrd", "rrdcached is not installed")];
      return [found("RRDCACHED_ABSENT", { path, reason: "no such file" })];
    }
    const started = performance.now();
    const reply = await askRrdcached(path, "PING", left());
    if (reply === "timeout") {
      return [found("RRDCACHED_HUNG", { path, deadline: options.deadlineMs })];
    }
    if ("code" in reply) {
      return [found("RRDCACHED_ABSENT", { path, reason: errnoText(errnoOf(reply.code)) })];
    }
    const seconds = (performance.now() - started) / 1000;
    const measures = [{ name: "rrdcached_seconds", value: seconds, unit: "s" }] as const;
    const line = `rrdcached answers "${reply.text}" in ${(seconds * 1000).toFixed(2)} ms`;
    return [pass("rrd", line, measures)];
  },
};

interface Entry {
  readonly key: string;
  /** Seconds since 1970. */
  readonly time: number;
}

/** Fields before the time stamp, by the kind of key (status.c; OPERATIONS.md). */
function fieldsBefore(key: string): number | undefined {
  if (/^pve2?-node/.test(key)) return 2;
  if (/^pve(2\.3)?-vm/.test(key)) return 4;
  return /^pve2?-storage/.test(key) ? 0 : undefined;
}

function parseDump(body: Buffer): Entry[] {
  const text = body.toString("latin1").replace(/\0.*$/s, "");
  return text.split("\n").flatMap((line) => {
    const [key = "", ...fields] = line.split(":");
    const before = fieldsBefore(key);
    if (before === undefined) return [];
    return { key, time: Number(fields[before] ?? Number.NaN) };
  });
}

function oldFormat(entries: readonly Entry[]): Finding[] {
  const old = entries.filter(({ key }) => key.startsWith("pve2"));
  if (old.length === 0) return [];
  const list = old
    .slice(0, KEYS_SHOWN)
    .map(({ key }) => key)
    .join(", ");
  return [found("RRD_OLD_FORMAT", { count: old.length, total: entries.length, list })];
}

function age({ machine }: Context, entries: readonly Entry[]): Finding {
  const newest = Math.max(...entries.map(({ time }) => time).filter(Number.isFinite));
  const seconds = Math.round(machine.now() / 1000 - newest);
  const measures = [
    { name: "graph_data_age_seconds", value: seconds, unit: "s", limit: AGE_LIMIT_S },
  ] as const;
  if (seconds < -CLOCK_LIMIT_S) {
    const what = "the newest graph data";
    return found("CLOCK_BACKWARDS", { what, seconds: -seconds, limit: CLOCK_LIMIT_S });
  }
  if (seconds >= AGE_LIMIT_S) {
    const values = { what: "graph data", seconds, limit: AGE_LIMIT_S };
    return found("RRD_STALE", values, { measures });
  }
  const line = `${entries.length} graph keys, the newest is ${seconds} s old`;
  return pass("rrd", `${line} (limit ${AGE_LIMIT_S} s)`, measures);
}

/** What the server has of it: the RRD dump. */
export const graphDataProbe: Probe = {
  check: "rrd",
  async run(context) {
    const dump = await context.session.readBody("GET_RRD_DUMP", context.left());
    if (dump === undefined) return [];
    const entries = parseDump(dump);
    if (entries.length === 0) return [skip("rrd", "nobody sends graph data (pvestatd)")];
    return [age(context, entries), ...oldFormat(entries)];
  },
};
