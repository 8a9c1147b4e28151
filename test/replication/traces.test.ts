// Every recording of a cluster of C servers, replayed: the machine sends byte for byte what they
// sent, and ends with the same database. `bun run traces DIR` replays others.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { NodeReplay } from "./traces/node-replay.ts";
import { replay } from "./traces/main.ts";
import { readTraces, type Trace, type TraceEvent } from "./traces/trace.ts";

const GOLDEN = join(import.meta.dir, "../golden");
/** Three C servers (9.1.6) on corosync 3.1.7; `recordings` has bad messages and busy partitions. */
const FOLDERS = ["cluster", "recordings"];

describe("a recording of C servers", () => {
  for (const folder of FOLDERS) {
    for (const { name, problems } of replay(join(GOLDEN, folder))) {
      test(`${name}, is reproduced`, () => {
        expect(problems).toEqual([]);
      });
    }
  }
});

describe("a modified recording", () => {
  const [, whole] =
    [...readTraces(join(GOLDEN, "cluster"))].find(([name]) => name === "partition") ?? [];

  /** Problems of all nodes, with other events or other databases at the end. */
  function problems(change: Partial<Trace>): string[] {
    if (whole === undefined) throw new Error("no recording");
    return whole.nodes.flatMap(({ id }) => {
      const { dcdb, status, end } = new NodeReplay({ ...whole, ...change }, id).run();
      return [...dcdb, ...status, ...end];
    });
  }

  const events = whole?.events ?? [];
  const sends = (name: string) => (event: TraceEvent) =>
    event.event === "mcast" && (whole?.messages[event.message ?? ""]?.what ?? "").startsWith(name);
  const delivery = (event: TraceEvent) =>
    event.event === "deliver" &&
    (whole?.messages[event.message ?? ""]?.what ?? "").includes(" WRITE ");
  const without = (is: (event: TraceEvent) => boolean) => {
    const last = events.findLastIndex(is);
    return events.filter((_, index) => index !== last);
  };

  test("is reproduced without modifications", () => {
    expect(problems({})).toEqual([]);
  });

  for (const name of ["SYNC_START", "STATE", "UPDATE epoch", "UPDATE_COMPLETE"]) {
    test(`is detected when a ${name} was not sent`, () => {
      expect(problems({ events: without(sends(name)) })).not.toEqual([]);
    });

    test(`is detected when a ${name} was sent twice`, () => {
      const at = events.findLastIndex(sends(name));
      const twice = [...events.slice(0, at), ...events.slice(at, at + 1), ...events.slice(at)];
      expect(problems({ events: twice })).not.toEqual([]);
    });
  }

  test("is detected when a byte of a message differs", () => {
    const { message = "" } = events.find(sends("STATE")) ?? {};
    const { hex, what } = whole?.messages[message] ?? { hex: "", what: "" };
    const text = typeof hex === "string" ? hex : hex.hex;
    const other = `${text.slice(0, 100)}${text[100] === "0" ? "1" : "0"}${text.slice(101)}`;
    const changed = typeof hex === "string" ? other : { ...hex, hex: other };
    const messages = { ...whole?.messages, [message]: { hex: changed, what } };
    expect(problems({ messages })).not.toEqual([]);
  });

  test("is detected when a change or a confchg was not delivered", () => {
    expect(problems({ events: without(delivery) })).not.toEqual([]);
    expect(problems({ events: without(({ event }) => event === "confchg") })).not.toEqual([]);
  });

  test("is detected when the database at the end differs", () => {
    const { after = {} } = whole ?? {};
    const [[id, database] = ["", ""]] = Object.entries(after);
    if (typeof database === "string") throw new Error("the end is as the beginning");
    const rows = database.rows.map((row, index) => (index === 3 ? row.with(4, 1) : row));
    const changed = { ...after, [id]: { ...database, rows: rows as typeof database.rows } };
    expect(problems({ after: changed })).not.toEqual([]);
  });
});
