/** The costs of a request: parsing the output of profilers, and allocations of the hot path. */
import { describe, expect, test } from "bun:test";
import { allocatedPerRequest } from "../../bench/allocations.ts";
import { readCallgrind, readHeapUsage, readPerf, readStrace } from "../../bench/tools.ts";

describe("the output of", () => {
  test("callgrind is read as instructions by object, those of callees counted once", () => {
    const text = [
      "positions: line",
      "ob=(12) /usr/lib/libqb.so.100.3.0",
      "fl=(169) ???",
      "fn=(860) qb_array_index",
      "0 1000",
      "cfn=(840) qb_thread_lock",
      "calls=75041 0 ",
      "0 999999",
      "+3 20",
      "",
      "ob=(3) /usr/lib/libc.so.6",
      "fn=(1) memset",
      "* 300",
      "ob=(12)",
      "fn=(840)",
      "-2 4",
      "totals: 1324",
    ].join("\n");
    expect(Object.fromEntries(readCallgrind(text))).toEqual({ "libqb.so": 1024, "libc.so": 300 });
  });

  test("strace -c is read as calls by name, without the line of the sum", () => {
    const text = [
      "% time     seconds  usecs/call     calls    errors syscall",
      "------ ----------- ----------- --------- --------- ----------------",
      " 60.00    0.000600           3       200        12 recvfrom",
      " 40.00    0.000400           2       101           futex",
      "------ ----------- ----------- --------- --------- ----------------",
      "100.00    0.001000                   301        12 total",
    ].join("\n");
    expect(Object.fromEntries(readStrace(text))).toEqual({ recvfrom: 200, futex: 101 });
  });

  test("perf stat is read as calls by name, without calls that were not made", () => {
    const text = [
      "# started on Tue Nov 24 13:31:25 2026",
      "",
      "4728,,raw_syscalls:sys_enter,461481257,100.00,,",
      "2588,,syscalls:sys_enter_futex,461850003,100.00,,",
      "0,,syscalls:sys_enter_open,461850003,100.00,,",
    ].join("\n");
    expect(Object.fromEntries(readPerf(text))).toEqual({ futex: 2588 });
  });

  test("memcheck is read as blocks and bytes", () => {
    const text = "==1==   total heap usage: 1,025 allocs, 25 frees, 1,070,005 bytes allocated";
    expect(readHeapUsage(text)).toEqual({ blocks: 1025, bytes: 1_070_005 });
  });
});

describe("allocations of the hot path", () => {
  /** Bytes per request: turns of the event loop allocate 2 to 8; the smallest object has 16. */
  const NOTHING = 20;
  const REQUESTS = 200_000;
  // 64 in flight: on a busy machine each single request would be a wake-up, which allocates.
  const FLAGS = ["--depth", "64", "--requests", String(REQUESTS)];

  /** The least of up to six runs: beside other load, wake-ups made it 21 three times in a row. */
  async function least(handler: "empty" | "object"): Promise<number> {
    let bytes = Infinity;
    for (let run = 0; run < 6 && bytes >= NOTHING; run++) {
      bytes = Math.min(bytes, await allocatedPerRequest(handler, ...FLAGS));
    }
    return bytes;
  }

  test("the transport makes no object for a request", async () => {
    expect(await least("empty")).toBeLessThan(NOTHING);
  }, 120_000);

  test("an object that a handler makes is measured", async () => {
    expect(await least("object")).toBeGreaterThan(NOTHING);
  }, 120_000);
});
