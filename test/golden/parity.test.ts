/**
 * Recordings of the C server, replayed by libqb clients against the program: requests for which a
 * random comparison once found another answer, and a cluster log whose ring wrapped with entries of
 * many sizes. The answers must be those of the C server, except for DEVIATIONS.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QbClient } from "../support/qb-client.ts";
import { serveCommand, startService } from "../support/service.ts";
import { writeTree } from "../support/tree-files.ts";
import { loadTree } from "../support/vectors.ts";

setDefaultTimeout(60_000);

interface Outcome {
  readonly error: number;
  readonly hex: string;
}

interface Case {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly steps: readonly {
    readonly id: number;
    readonly body_hex: string;
    readonly header_size_field?: number;
    readonly c: Outcome;
    /** This server's answer where a deviation is intended. */
    readonly own: Outcome;
  }[];
}

interface LogWrap {
  /** Lengths of ident, tag and message in bytes. */
  readonly entries: readonly (readonly [number, number, number])[];
  readonly shows: readonly {
    readonly after: number;
    readonly c: { entries: number; oldest_uid: number; newest_uid: number };
  }[];
}

/** Cases in which the answers differ on purpose (docs/operations.md, "Differences"). */
const DEVIATIONS = ["config.ro:", "log.backslash:", "log.ident-quote"];

/** Longer answers are recorded up to this size (a little less after `masked`). */
const RECORDED_BYTES = 590;

function recorded(name: string): unknown {
  return JSON.parse(readFileSync(join(import.meta.dir, "parity", name), "utf8"));
}

/** The body without numbers that differ between runs: times, pids, and counters of log entries. */
function masked({ error, hex }: Outcome): string {
  const text = Buffer.from(hex, "hex").toString("latin1");
  return `${error} ${text.replaceAll(/("(?:starttime|time|pid|uid)": )\d+/g, "$1N")}`;
}

async function withServer(run: (service: string) => Promise<void>): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-parity-"));
  writeTree(join(scratch, "tree"), [{ path: "", content: undefined }, ...loadTree()]);
  const server = await startService(serveCommand("--dir", join(scratch, "tree"), "--node", "pve1"));
  try {
    await run(server.name);
  } finally {
    await server.stop();
    rmSync(scratch, { recursive: true });
  }
}

describe("the program answers as the C server", () => {
  test("to every case of the random comparison", async () => {
    const cases = recorded("cases.json") as Case[];
    expect(cases.length).toBeGreaterThan(0);
    const names = cases.map(({ name }) => name);
    expect(DEVIATIONS.filter((prefix) => !names.some((name) => name.startsWith(prefix)))).toEqual(
      [],
    );
    const wrong: string[] = [];
    await withServer(async (service) => {
      for (const { name, uid, gid, steps } of cases) {
        const isDeviation = DEVIATIONS.some((prefix) => name.startsWith(prefix));
        await using client = await QbClient.open(service, { uid, gid });
        for (const { id, body_hex: hex, header_size_field: size, c, own } of steps) {
          const { error = 0, body = "" } = await client.call(id, Buffer.from(hex, "hex"), size);
          const answer = masked({ error, hex: body });
          const wanted = masked(isDeviation ? own : c);
          const isCut = wanted.length >= RECORDED_BYTES;
          if (isCut ? answer.startsWith(wanted) : answer === wanted) continue;
          wrong.push(`${name} ${id} ${hex}: ${answer} instead of ${wanted}`);
        }
      }
    });
    expect(wrong).toEqual([]);
  });

  test("to GET_CLUSTER_LOG after the log has wrapped with entries of many sizes", async () => {
    const { entries, shows } = recorded("log-wrap.json") as LogWrap;
    expect(shows.length).toBeGreaterThan(0);
    await withServer(async (service) => {
      await using client = await QbClient.open(service);
      let logged = 0;
      for (const { after, c } of shows) {
        for (; logged < after; logged++) {
          const [ident = 0, tag = 0, message = 0] = entries[logged] ?? [];
          const texts = `${"u".repeat(ident)}\0${"t".repeat(tag)}\0${"m".repeat(message)}\0`;
          const body = Buffer.from(`\x06  ${texts}`, "latin1");
          body[1] = ident + 1;
          body[2] = tag + 1;
          expect(await client.call(7, body)).toMatchObject({ error: 0 });
        }
        const answer = await client.call(
          8,
          Buffer.from("a086010000000000000000000000000000", "hex"),
        );
        const text = Buffer.from(answer.body ?? "", "hex").toString("latin1");
        const uids = (JSON.parse(text) as { data: { uid: number }[] }).data.map(({ uid }) => uid);
        expect({ after, entries: uids.length, oldest: uids.at(-1), newest: uids[0] }).toEqual({
          after,
          entries: c.entries,
          oldest: c.oldest_uid,
          newest: c.newest_uid,
        });
      }
    });
  });
});
