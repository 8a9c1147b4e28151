/**
 * Cases that write: status keys, RRD values, log entries. Only for services that may be changed.
 * Keys and users are the runner's own, and the keys are removed again.
 */
import { Errno } from "../../../base/errno.ts";
import { getClusterLog } from "../../../pmxcfs/requests/rows/get-cluster-log.ts";
import { getStatus } from "../../../pmxcfs/requests/rows/get-status.ts";
import { logClusterMsg } from "../../../pmxcfs/requests/rows/log-cluster-msg.ts";
import { setStatus } from "../../../pmxcfs/requests/rows/set-status.ts";
import { CfsIpc } from "../../../pmxcfs/requests/table.ts";
import type { Case, Expect, Step } from "../case.ts";
import { any } from "../expect.ts";
import { ask, call, requestCase } from "./requests.ts";

const KEY = "pmxcfs-ipc-compat/key";
const USER = "pmxcfs-ipc-compat@pam";
const DONE: Expect = { body: "" };
const ENOENT: Expect = { errno: Errno.ENOENT };
const EINVAL: Expect = { errno: Errno.EINVAL };

/** The C server answers with a dump that is up to 2 s old. */
const C_DUMP_AGE_MS = 2500;

function writeCase(name: string, shows: string, steps: readonly Step[]): Case {
  return requestCase(name, shows, steps, ["writes"]);
}

function set(key: string, value: Uint8Array | string | undefined, expect: Expect): Step {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return ask(setStatus, { key, value: bytes }, expect);
}

function get(key: string, expect: Expect): Step {
  return ask(getStatus, { key }, expect);
}

/** The key's version, wherever the key is: the C server has a node's keys in no order. */
function hasVersion(version: number): Step {
  return call(CfsIpc.GET_FS_VERSION, "", { matches: new RegExp(`"${KEY}": ${version}[,}]`) });
}

function log(message: string, priority: number, expect: Expect): Step {
  const entry = { priority, user: USER, tag: "compat", message };
  return ask(logClusterMsg, entry, expect);
}

/** The body of a LOG_CLUSTER_MSG, whose lengths may be wrong. */
function rawLog(identBytes: number, tagBytes: number, rest: string, expect: Expect): Step {
  const head = Buffer.from([6, identBytes, tagBytes]);
  return call(CfsIpc.LOG_CLUSTER_MSG, Buffer.concat([head, Buffer.from(rest)]), expect);
}

const STATUS: readonly Case[] = [
  writeCase("status.round", "GET_STATUS returns the value of SET_STATUS byte for byte", [
    set(KEY, '{"a":1}\0', DONE),
    get(KEY, { body: '{"a":1}\0' }),
    set(KEY, "no terminator", DONE),
    get(KEY, { body: "no terminator" }),
    set(
      KEY,
      Uint8Array.from({ length: 256 }, (_, byte) => byte),
      DONE,
    ),
    get(KEY, { body: Uint8Array.from({ length: 256 }, (_, byte) => byte) }),
    set(KEY, undefined, DONE),
    get(KEY, ENOENT),
  ]),
  writeCase("status.remove", "Removing a key that does not exist is not an error", [
    set(KEY, undefined, DONE),
    set(KEY, undefined, DONE),
  ]),
  writeCase("status.limit", "A value of 32 KiB is stored; one byte more is EFBIG", [
    set(KEY, Buffer.alloc(32_768, "x"), DONE),
    get(KEY, { body: Buffer.alloc(32_768, "x") }),
    set(KEY, Buffer.alloc(32_769, "x"), { errno: Errno.EFBIG }),
    set(KEY, undefined, DONE),
  ]),
  writeCase("status.short-set", "SET_STATUS shorter than a name is EINVAL", [
    call(CfsIpc.SET_STATUS, "", EINVAL),
    call(CfsIpc.SET_STATUS, new Uint8Array(255), EINVAL),
  ]),
  writeCase("status.version", "Each SET_STATUS increments the key's version, from 0", [
    set(KEY, undefined, DONE),
    set(KEY, "v\0", DONE),
    call(CfsIpc.GET_FS_VERSION, "", { json: { kvstore: any("object") } }),
    hasVersion(0),
    set(KEY, "v\0", DONE),
    hasVersion(1),
    set(KEY, undefined, DONE),
    call(CfsIpc.GET_FS_VERSION, "", { matches: new RegExp(`^(?![^]*"${KEY}").*"kvstore"`, "s") }),
  ]),
  writeCase(
    "status.special",
    "nodeip and rrd/ values must end in NUL, else ENOMEM; they cannot be read",
    [
      set("nodeip", "192.0.2.1", { errno: Errno.ENOMEM }),
      set("nodeip", "", { errno: Errno.ENOMEM }),
      set("rrd/pmxcfs-ipc-compat", "", { errno: Errno.ENOMEM }),
      set("rrd/pmxcfs-ipc-compat", "1:2", { errno: Errno.ENOMEM }),
      set("rrd/pmxcfs-ipc-compat/x", "1:2:3\0", DONE),
      get("rrd/pmxcfs-ipc-compat/x", ENOENT),
      get("nodeip", ENOENT),
    ],
  ),
  writeCase("rrd-dump.value", "A value set under rrd/ is in the dump", [
    set("rrd/pmxcfs-ipc-compat/y", "7:8:9\0", DONE),
    {
      do: "call",
      id: CfsIpc.GET_RRD_DUMP,
      expect: { lines: ["pmxcfs-ipc-compat/y:7:8:9"] },
      withinMs: C_DUMP_AGE_MS,
    },
  ]),
];

const LOG: readonly Case[] = [
  writeCase("log.round", "GET_CLUSTER_LOG returns the logged entries, newest first", [
    log("first", 5, DONE),
    log("second", 6, DONE),
    ask(
      getClusterLog,
      { max: 2, user: USER },
      {
        json: {
          data: [
            { user: USER, tag: "compat", msg: "second", pri: 6, pid: any("number") },
            { user: USER, tag: "compat", msg: "first", pri: 5, time: any("number") },
          ],
        },
      },
    ),
  ]),
  writeCase(
    "log.priority",
    "LOG_CLUSTER_MSG with a priority above 7 answers 0 and stores nothing",
    [
      log("kept", 7, DONE),
      log("dropped", 8, DONE),
      ask(
        getClusterLog,
        { max: 1, user: USER },
        {
          json: { data: [{ msg: "kept" }] },
        },
      ),
    ],
  ),
  writeCase("log.text", "Quotes and control characters in a log message give valid JSON", [
    log('say "hi"\x07', 6, DONE),
    ask(
      getClusterLog,
      { max: 1, user: USER },
      {
        json: { data: [{ msg: 'say "hi"#007' }] },
      },
    ),
  ]),
  writeCase("log.malformed", "LOG_CLUSTER_MSG with lengths that do not add up is EINVAL", [
    call(CfsIpc.LOG_CLUSTER_MSG, "", EINVAL),
    call(CfsIpc.LOG_CLUSTER_MSG, "\x06", EINVAL),
    rawLog(0, 0, "", EINVAL),
    rawLog(1, 1, "", EINVAL),
    rawLog(2, 2, "r\0t\0", EINVAL),
    rawLog(200, 2, "root\0t\0m\0", EINVAL),
    rawLog(4, 3, "root\0t\0m\0", EINVAL),
    rawLog(5, 3, "root\0tag\0m\0", EINVAL),
  ]),
];

export const WRITE_CASES: readonly Case[] = [...STATUS, ...LOG];
