/** `explain` on lines of public reports: each gets the right entry, or none. */
import strerror from "../../src/tools/diagnosis/strerror.json";
import { explainStream } from "../../src/cli/explain.ts";
import { Explainer, TEXTS, explain } from "../../src/tools/diagnosis/explain.ts";
import { ERROR_LINES, reportedLines } from "./support/error-lines.ts";
import { expect, test } from "bun:test";

/** Megabytes are searched: a machine with other work takes longer than the usual limit. */
const LONG_MS = 60_000;

/** Microseconds of CPU, which other work on the machine does not lengthen. */
function cpuOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  return process.cpuUsage(before).user;
}

const REPORTED = await reportedLines();
const ALL = [...ERROR_LINES, ...REPORTED];

for (const [line, id] of ALL) {
  test(line, () => {
    const [first] = explain(line);
    expect(first?.text.id).toBe(id as string);
  });
}

test("there are lines for at least 125 entries, and many more in the forms of logs", () => {
  expect(new Set(ALL.map(([line]) => line)).size).toBe(ALL.length);
  expect(REPORTED.length).toBeGreaterThan(300);
  expect(ERROR_LINES.filter(([, id]) => id !== undefined).length).toBeGreaterThanOrEqual(125);
});

test("every entry is matched by a line", () => {
  const met = new Set(ALL.map(([, id]) => id));
  expect(TEXTS.map(({ id }) => id).filter((id) => !met.has(id))).toEqual([]);
});

test("a failed request is known in every language, by its errno", () => {
  for (const texts of Object.values(strerror)) {
    const [english = "", ...others] = texts;
    const number = english === "Unknown error" ? " -1" : "";
    const [known] = explain(`ipcc_send_rec[1] failed: ${english}${number}`);
    for (const other of others) {
      const [same] = explain(`ipcc_send_rec[1] failed: ${other}${number}`);
      expect([other, same?.text.id]).toEqual([other, known?.text.id]);
    }
  }
});

test("a log is read line by line: words of different lines are not taken together", () => {
  const log = [
    "Nov 25 10:00:00 pve pvestatd[1]: modified config of all vms",
    "Nov 25 10:00:01 pve cron[2]: file is missing",
    "Nov 25 10:00:02 pve sshd[3]: Connection refused by 192.0.2.4 port 22",
  ].join("\n");
  expect(explain(log)).toEqual([]);
});

test(
  "a megabyte of harmless log costs linear time, with and without line breaks",
  () => {
    const line =
      "Nov 25 10:00:00 pve pvestatd[1]: modified cpu set for lxc/1: vm config guest ok\n";
    const texts = [line, "config ", "pve-cluster.service started. "];
    for (const text of texts) {
      const took = [100_000, 1_000_000].map((size) => {
        const whole = text.repeat(Math.ceil(size / text.length));
        return cpuOf(() => {
          expect(explain(whole)).toEqual([]);
        });
      });
      const [small = 0, large = 0] = took;
      // Ten times the text: with quadratic cost it would take a hundred times as long.
      expect(large / small).toBeLessThan(40);
    }
  },
  LONG_MS,
);

test(
  "a megabyte of reported lines costs linear time too",
  () => {
    const log = REPORTED.map(([line]) => line).join("\n");
    const took = [3, 30].map((times) => {
      const whole = `${log}\n`.repeat(times);
      return cpuOf(() => {
        expect(explain(whole).length).toBeGreaterThan(60);
      });
    });
    const [small = 0, large = 0] = took;
    expect(large / small).toBeLessThan(40);
  },
  LONG_MS,
);

test("a line of another program about its own quorum or database is not ours", () => {
  const lines = [
    "etcd[12]: cluster has no quorum",
    "rabbitmq: node is not quorate",
    "sonarr[4]: database is locked",
    "mysqld[5]: Connection refused",
    "dockerd[9]: Transport endpoint is not connected",
  ];
  expect(lines.filter((line) => explain(line).length > 0)).toEqual([]);
  // It is when the line is about the node's own.
  const [known] = explain("ansible-pvesh[7]: ipcc_send_rec[1] failed: Connection refused");
  expect(known?.text.id).toBe("connection-refused");
});

test("a line that arrives in pieces is one line", () => {
  const explainer = new Explainer();
  for (const letter of "ipcc_send_rec[1] failed: Connection refused\nnothing more") {
    explainer.write(letter);
  }
  expect(explainer.end().map(({ text }) => text.id)).toEqual(["connection-refused"]);
});

async function* pieces(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

test("a text that is longer than what is read of it is told to be cut", async () => {
  const known = "ipcc_send_rec[1] failed: Connection refused\n";
  const whole = await explainStream(pieces("x\n", known), 100);
  expect([whole.isCut, whole.explanations[0]?.text.id]).toEqual([false, "connection-refused"]);
  const cut = await explainStream(pieces("x".repeat(100), known), 100);
  expect([cut.isCut, cut.explanations.length]).toEqual([true, 0]);
  const exact = await explainStream(pieces(known), known.length);
  expect([exact.isCut, exact.words]).toEqual([false, known]);
});
