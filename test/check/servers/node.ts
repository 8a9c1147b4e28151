/**
 * A server on our library with the answers of a healthy node, and with the given faults:
 * `node.ts SERVICE [JSON]`, where JSON is a `Faults`. The texts have the C server's form.
 */
import { Errno, type Reply } from "../../../src/index.ts";
import { CfsIpc } from "../../../src/pmxcfs/requests/table.ts";
import { serveHandler } from "../../support/servers/serving.ts";
import { chmodSync, readdirSync } from "node:fs";

export interface Faults {
  /** Name of the node in GET_CLUSTER_INFO. */
  readonly node?: string;
  /** Text of an answer by request id. */
  readonly texts?: Readonly<Record<number, string>>;
  /** Size of the body by request id. */
  readonly sizes?: Readonly<Record<number, number>>;
  /** Errno by request id. */
  readonly errors?: Readonly<Record<number, number>>;
  /** Delay of the answer, ms, by request id. */
  readonly delays?: Readonly<Record<number, number>>;
  /** Requests never answered. */
  readonly silent?: readonly number[];
  /** Seconds by which the start time is in the future. */
  readonly startsIn?: number;
  /** Size of a status value by key. */
  readonly status?: Readonly<Record<string, number>>;
  /** Number of further status keys. */
  readonly keys?: number;
  /** Lines of the RRD dump. */
  readonly rrd?: readonly string[];
  /** All callers are accepted and may read and write. */
  readonly open?: boolean;
  /** Only root is accepted. */
  readonly rootOnly?: boolean;
  /** Ring directories are accessible to all users. */
  readonly looseRings?: boolean;
  /** The level of flow control. */
  readonly hold?: 1 | 2;
}

const faults = JSON.parse(process.argv[3] ?? "{}") as Faults;
const node = faults.node ?? "pve1";
const started = Math.floor(Date.now() / 1000) + (faults.startsIn ?? -5);
const WWW_DATA = 33;

function keys(): Record<string, number> {
  const many = Array.from({ length: faults.keys ?? 0 }, (_, index) => `key-${index}`);
  return { ...faults.status, ...Object.fromEntries(many.map((key) => [key, 1])) };
}

function text(id: number): string | undefined {
  switch (id) {
    case CfsIpc.GET_FS_VERSION: {
      const versions = Object.fromEntries(Object.keys(keys()).map((key) => [key, 1]));
      return JSON.stringify({ starttime: started, clinfo: 0, kvstore: { [node]: versions } });
    }
    case CfsIpc.GET_CLUSTER_INFO:
      return JSON.stringify({ nodename: node, version: 0 });
    case CfsIpc.GET_GUEST_LIST:
      return `{\n"version": 0\n\n}\n`;
    case CfsIpc.GET_CLUSTER_LOG:
      return `{\n"data": [\n]\n}\n`;
    case CfsIpc.GET_RRD_DUMP:
      return `${(faults.rrd ?? []).map((line) => `${line}\n`).join("")}\0`;
    case CfsIpc.GET_GUEST_CONFIG_PROPERTY:
    case CfsIpc.GET_GUEST_CONFIG_PROPERTIES:
      return "{\n\n}\n";
    default:
      return undefined;
  }
}

function status(body: Buffer): Reply {
  const key = body.toString("latin1", 0, body.indexOf(0));
  const size = keys()[key];
  return size === undefined ? Errno.ENOENT : Buffer.alloc(size, 0x61);
}

function answer(id: number, body: Buffer, readOnly: boolean): Reply {
  const error = faults.errors?.[id];
  if (error !== undefined) return error as Errno;
  const given = faults.texts?.[id] ?? text(id);
  const size = faults.sizes?.[id];
  if (size !== undefined) return Buffer.from((given ?? "").padEnd(size, " "), "latin1");
  if (given !== undefined) return Buffer.from(given, "latin1");
  if (id === CfsIpc.GET_STATUS) return status(body);
  if (id === CfsIpc.SET_STATUS && readOnly) return Errno.EPERM;
  if (id === CfsIpc.GET_CONFIG && readOnly && body.toString("latin1").startsWith("priv/")) {
    return Errno.EPERM;
  }
  return id === CfsIpc.SET_STATUS ? Errno.EINVAL : Errno.ENOENT;
}

function openRings(): void {
  const own = readdirSync("/dev/shm").filter((name) => name.startsWith(`qb-${process.pid}-`));
  for (const name of own) chmodSync(`/dev/shm/${name}`, 0o777);
}

serveHandler({
  authenticate({ uid, gid }) {
    if (faults.looseRings === true) setInterval(openRings, 1);
    if (faults.open === true) return "read-write";
    if (gid === WWW_DATA && faults.rootOnly !== true) return "read-only";
    return uid === 0 ? "read-write" : Errno.EPERM;
  },
  handle({ id, span, caller, peer }) {
    const body = Buffer.from(span.bytes.subarray(span.at, span.at + span.size));
    if (faults.hold !== undefined) peer.holdRequests(faults.hold);
    if (faults.silent?.includes(id) === true) return Promise.withResolvers<Reply>().promise;
    const reply = answer(id, body, caller.permissions === "read-only");
    const delay = faults.delays?.[id];
    return delay === undefined ? reply : Bun.sleep(delay).then(() => reply);
  },
});
