/** The screen of `top`, from invented status documents: widths, order, rates, rows left out. */
import { describe, expect, test } from "bun:test";
import type { GroupFigures } from "../../src/observe/cluster-families.ts";
import type { ConnectionStatus, StatusDocument } from "../../src/observe/status.ts";
import { age, duration, screen, type ScreenOptions, short } from "../../src/tools/top/screen.ts";
import { p99Us, viewOf } from "../../src/tools/top/view.ts";

const NO_TRAFFIC = {
  requests: 0,
  responses: 0,
  errors: 0,
  events: 0,
  request_bytes: 0,
  response_bytes: 0,
  response_waits: 0,
  flow_controls: 0,
};

const plain = (text: string) => text;
const OPTIONS: ScreenOptions = {
  columns: 80,
  rows: 24,
  sort: "requests",
  reverse: false,
  look: { bold: plain, dim: plain, red: (text) => `!${text}`, yellow: (text) => `?${text}` },
};

function connection(number: number, change: Partial<ConnectionStatus> = {}): ConnectionStatus {
  return {
    ...NO_TRAFFIC,
    number,
    pid: 1000 + number,
    uid: 33,
    gid: 33,
    permissions: "read-only",
    opened_ms: 0,
    queued: 0,
    flow_control: 0,
    durations_ns: [],
    ...change,
  };
}

function document(now: number, connections: readonly ConnectionStatus[]): StatusDocument {
  const sum = (field: "requests" | "errors") =>
    connections.reduce((total, each) => total + each[field], 0);
  return {
    schema_version: 1,
    service: "pve2",
    pid: 7,
    version: "0.1.0",
    revision: "abc",
    started_ms: 0,
    now_ms: now,
    connections_limit: 100,
    closed_connections: 0,
    violations: 0,
    refused: { denied: 2, full: 0, handshake: 1 },
    handshakes: 0,
    mount: null,
    pooled_rings: 4,
    totals: { ...NO_TRAFFIC, requests: sum("requests"), errors: sum("errors") },
    connections,
  };
}

test("control characters in a server's status are escaped in every line", () => {
  const odd = "\u001B[2J";
  const now = document(1000, [connection(1)]);
  const mount = { directory: odd, operations: 0, waiting: 0 } as unknown as StatusDocument["mount"];
  const view = viewOf({ ...now, service: odd, version: odd, mount }, undefined, () => odd);
  const lines = screen(view, OPTIONS).join("\n");
  expect(lines).not.toContain("\u001B");
  expect(lines).toContain(String.raw`\x1b[2J`);
});

test("a rate is the change of a counter per second; of a new connection, the whole counter", () => {
  const before = document(1000, [connection(1, { requests: 100, errors: 1 })]);
  const now = document(3000, [
    connection(1, { requests: 300, errors: 2 }),
    connection(2, { requests: 50, opened_ms: 2500 }),
  ]);
  const view = viewOf(now, before, (pid) => `p${pid}`);
  expect(view.interval_ms).toBe(2000);
  expect(view.totals).toMatchObject({ requests_per_second: 125, errors_per_second: 0.5 });
  expect(view.connections).toMatchObject([
    { command: "p1001", requests_per_second: 100, errors_per_second: 0.5, age_seconds: 3 },
    { command: "p1002", requests_per_second: 25, age_seconds: 1 },
  ]);
});

test("rates are 0 after the first reading and after one of another server", () => {
  const now = document(3000, [connection(1, { requests: 300 })]);
  expect(viewOf(now, undefined).totals.requests_per_second).toBe(0);
  const other = { ...document(1000, []), pid: 8 };
  expect(viewOf(now, other).totals.requests_per_second).toBe(0);
});

describe("the screen", () => {
  const many = Array.from({ length: 40 }, (_, index) => connection(index, { errors: index }));

  test("fills 24 lines of 80 columns and has the number of rows that do not fit", () => {
    const huge = connection(99, {
      pid: 4_194_304,
      uid: 4_294_967_294,
      gid: 1_000_000,
      errors: 123_456_789,
      response_bytes: 1e15,
      flow_control: 2,
    });
    const view = viewOf(document(9e9, [...many, huge]), undefined, () => "a-name-of-15chrs");
    const lines = screen(view, { ...OPTIONS, sort: "errors" });
    expect(lines).toHaveLength(24);
    for (const line of lines) expect(line.replace(/^[!?]/, "").length).toBeLessThanOrEqual(80);
    // Clearing the rest of a line whose last column is used would clear that column.
    expect(lines[4]).toHaveLength(79);
    expect(lines[23]?.length).toBeLessThan(80);
    expect(lines[5]).toStartWith("!4194304 a-name-of-15+ 42949+");
    expect(lines[6]).toStartWith("   1039 ");
    expect(lines[22]).toBe("... and 24 more");
    expect(lines[23]).toEndWith("(R)ev (q)uit");
  });

  test("has the size of the terminal, down to one column and one row", () => {
    const view = viewOf(document(1000, many), undefined, () => "x");
    for (const [columns, rows] of [
      [60, 10],
      [20, 5],
      [1, 1],
    ] as const) {
      const lines = screen(view, { ...OPTIONS, columns, rows });
      expect(lines).toHaveLength(rows);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  test("has the usual size on a terminal that reports 0 by 0, as a serial console does", () => {
    const view = viewOf(document(1000, many), undefined, () => "x");
    const lines = screen(view, { ...OPTIONS, columns: 0, rows: 0 });
    expect(lines).toEqual(screen(view, OPTIONS));
  });

  test("shows the cluster, and the times of changes after the first change", () => {
    const times = { p50Ns: 1.1e6, p99Ns: 4.2e6, maxNs: 32e6, sumNs: 1.4e9, counts: [] };
    const group = (changes: number): GroupFigures => ({
      mode: "synced",
      epoch: 1,
      members: 3,
      synced: 3,
      missing: 0,
      queued: 0,
      queuedBytes: 0,
      outbox: 0,
      waiting: 2,
      oldestMs: 1,
      sentMessages: 9,
      sentBytes: 9,
      retries: 0,
      syncs: 1,
      syncMs: 5,
      changes,
      changeTimes: times,
    });
    const shown = (changes: number): string[] => {
      const cluster = { quorate: true, services: {}, groups: { dcdb: group(changes) } };
      const view = viewOf({ ...document(1000, []), cluster }, undefined, () => "p");
      return screen(view, OPTIONS).slice(3, 5);
    };
    const line = "cluster quorate, dcdb synced 3/3, 2 changes wait";
    expect(shown(1204)).toEqual([line, "changes 1204, p50 1.1ms, p99 4.2ms, longest 32ms"]);
    expect(shown(0)).toEqual([line, ""]);
  });

  test("printed to a file has all connections, and no keys", () => {
    const view = viewOf(document(1000, many), undefined, () => "x");
    const lines = screen(view, { ...OPTIONS, columns: Infinity, rows: undefined });
    expect(lines).toHaveLength(45);
    expect(lines.join("\n")).not.toContain("(q)uit");
    expect(lines[2]).toStartWith("refused 3 (denied 2, handshake 1)  violations 0");
  });

  test("is sorted by any key, also in reverse", () => {
    const view = viewOf(document(1000, many), undefined, () => "x");
    const first = (options: Partial<ScreenOptions>) =>
      screen(view, { ...OPTIONS, ...options })[5]
        ?.trim()
        .split(" ")[0];
    expect(first({ sort: "errors" })).toBe("1039");
    expect(first({ sort: "errors", reverse: true })).toBe("1000");
    expect(first({ sort: "pid" })).toBe("1000");
    expect(first({ sort: "pid", reverse: true })).toBe("1039");
  });
});

test("p99 is of the requests since the last reading", () => {
  const before = [
    [1000, 90],
    [900_000, 10],
  ] as const;
  expect(p99Us(before, [])).toBe(900);
  expect(p99Us(before, before)).toBe(null);
  const after = [
    [1000, 189],
    [2500, 1],
    [900_000, 10],
  ] as const;
  expect(p99Us(after, before)).toBe(1);
  expect(p99Us([...after, [1e9, 100]], before)).toBe(1e6);
  expect([null, 0.6, 12, 999.4, 1250, 9990, 340_000, 12e6, 99e6].map(duration)).toEqual(
    "- 0.6us 12us 999us 1.3ms 10ms 340ms 12s 99s".split(" "),
  );
});

test("numbers have at most five characters, ages at most two units", () => {
  expect([0, 0.5, 12, 99_999, 100_000, 1_234_567, 12_345_678].map((n) => short(n))).toEqual(
    "0 0.5 12 99999 100K 1.2M 12M".split(" "),
  );
  expect([0, 512, 1024, 10_240, 1024 ** 3].map((n) => short(n, 1024))).toEqual(
    "0 512 1.0K 10K 1.0G".split(" "),
  );
  expect([0, 59, 61, 7500, 90_000].map(age)).toEqual(["0s", "59s", "1m01s", "2h05m", "1d01h"]);
});
