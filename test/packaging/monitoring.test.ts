/** The alert rules and the dashboard: valid for promtool, on metrics that exist, and they fire. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ALERTS, alertRules, dashboard, metricFamilies } from "../../packaging/monitoring.ts";
import { programPlaces } from "../../packaging/tree.ts";
import { readWords } from "../../src/cli/parse-args.ts";
import type { Family } from "../../src/observe/registry.ts";

let directory: string;
let families: readonly Family[];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-monitoring-"));
  families = await metricFamilies();
});

afterAll(() => rmSync(directory, { recursive: true }));

function promtool(...words: string[]): { exitCode: number; said: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["promtool", ...words], { cwd: directory });
  return { exitCode, said: `${stdout.toString()}${stderr.toString()}` };
}

/** Metric names of ours in an expression that no family has. */
function unknownIn(expr: string): string[] {
  const known = new Set(
    families.flatMap(({ name, type }) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
  return [...expr.matchAll(/pmxcfs_ipc_\w+/g)].map(([name]) => name).filter((n) => !known.has(n));
}

interface Panel {
  readonly title: string;
  readonly description: string;
  readonly gridPos: { readonly x: number; readonly y: number };
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const rule = (alertname: string, labels: Readonly<Record<string, string>> | undefined) => {
  const alert = ALERTS.find(({ name }) => name === alertname);
  const filled = (text = "") => text.replace("{{ $labels.reason }}", labels?.["reason"] ?? "");
  return {
    alertname,
    eval_time: "20m",
    exp_alerts:
      labels === undefined
        ? []
        : [
            {
              exp_labels: { severity: alert?.severity, ...labels },
              exp_annotations: {
                summary: filled(alert?.summary),
                description: alert?.description,
              },
            },
          ],
  };
};

describe("alert rules", () => {
  test("promtool accepts them, and each uses metrics that the server has", () => {
    writeFileSync(join(directory, "alerts.yml"), alertRules());
    const { exitCode, said } = promtool("check", "rules", "alerts.yml");
    expect({ exitCode, said }).toEqual({
      exitCode: 0,
      said: expect.stringContaining(`SUCCESS: ${ALERTS.length} rules found`) as string,
    });
    expect(ALERTS.flatMap(({ expr }) => unknownIn(expr))).toEqual([]);
    expect(unknownIn("pmxcfs_ipc_no_such_metric > 0")).toEqual(["pmxcfs_ipc_no_such_metric"]);
  });

  test("they fire for their faults, and not for a healthy server", () => {
    writeFileSync(join(directory, "alerts.yml"), alertRules());
    const healthy = [
      'pmxcfs_ipc_build_info{instance="n"}',
      'pmxcfs_ipc_shm_free_bytes{instance="n"}',
      'pmxcfs_ipc_connections_limit{instance="n"}',
    ];
    const values: Readonly<Record<string, string>> = { [healthy[1] ?? ""]: "1000000000x30" };
    const series = (extra: Readonly<Record<string, string>>) =>
      Object.entries({
        ...Object.fromEntries(healthy.map((name) => [name, "1x30"])),
        ...values,
        ...extra,
      }).map(([name, samples]) => ({ series: name, values: samples }));
    const refused = 'pmxcfs_ipc_connections_refused_total{instance="n",reason="limit"}';
    const denied = 'pmxcfs_ipc_connections_refused_total{instance="n",reason="denied"}';
    const units = {
      rule_files: ["alerts.yml"],
      evaluation_interval: "1m",
      tests: [
        {
          interval: "1m",
          input_series: series({ [denied]: "0+1x30" }),
          alert_rule_test: ALERTS.map(({ name }) => rule(name, undefined)),
        },
        {
          interval: "1m",
          input_series: series({ [refused]: "0+1x30", [healthy[1] ?? ""]: "1000x30" }),
          alert_rule_test: [
            rule("PmxcfsIpcClientsTurnedAway", { instance: "n", reason: "limit" }),
            rule("PmxcfsIpcSharedMemoryLow", { instance: "n" }),
          ],
        },
        {
          interval: "1m",
          input_series: [{ series: "up", values: "1x30" }],
          alert_rule_test: [rule("PmxcfsIpcAbsent", {})],
        },
      ],
    };
    writeFileSync(join(directory, "units.yml"), JSON.stringify(units));
    const { exitCode, said } = promtool("test", "rules", "units.yml");
    expect({ exitCode, said }).toEqual({
      exitCode: 0,
      said: expect.stringContaining("SUCCESS") as string,
    });
  });
});

/** Commands with options in a text: their names and the options. */
const TYPED = /pmxcfs-ipc (?:--)?([a-z]+)((?: --?[a-z-]+ [a-z,]+)+)/g;

test("the options in the texts of alerts are those of the commands", async () => {
  const places = await programPlaces();
  const typed = ALERTS.flatMap(({ description }) => Array.from(description.matchAll(TYPED)));
  expect(typed.length).toBeGreaterThan(3);
  for (const [, name = "", words = ""] of typed) {
    const place = places.find(({ path }) => path.length === 2 && path[1] === name);
    const { options = {} } = place?.command ?? {};
    expect(() => readWords(words.trim().split(" "), options, {})).not.toThrow();
  }
});

test("alerts about the unit name both: on a node that was switched over it is pve-cluster", () => {
  const about = ALERTS.filter(({ description }) => /ctl [^;:.]*pmxcfs-ipc/.test(description));
  expect(about.map(({ name }) => name)).toEqual(["PmxcfsIpcAbsent", "PmxcfsIpcRestarts"]);
  for (const { description } of about) expect(description).toMatch(/ctl [^;:.]*pve-cluster/);
});

test("series of one panel that differ in a label have different names", () => {
  const board = JSON.parse(dashboard(families)) as { readonly panels: readonly Panel[] };
  const members = board.panels.find(({ description }) => description.endsWith("cluster_members"));
  expect(members?.targets.map(({ legendFormat }) => legendFormat)).toEqual([
    expect.stringContaining("{{group}}"),
  ]);
});

test("the dashboard has a panel for each family, with queries that promtool accepts", () => {
  const board = JSON.parse(dashboard(families)) as { readonly panels: readonly Panel[] };
  expect(board.panels.map(({ description }) => description)).toEqual(
    families.map(({ name }) => name),
  );
  const places = new Set(board.panels.map(({ gridPos: { x, y } }) => `${x} ${y}`));
  expect(places.size).toBe(board.panels.length);
  const queries = board.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  expect(queries.flatMap(unknownIn)).toEqual([]);
  const rules = queries.map((expr, index) => ({
    record: `panel:${index}`,
    expr: expr.replaceAll("$__rate_interval", "5m").replaceAll("$instance", ".*"),
  }));
  writeFileSync(join(directory, "panels.yml"), JSON.stringify({ groups: [{ name: "p", rules }] }));
  expect(promtool("check", "rules", "panels.yml")).toMatchObject({ exitCode: 0 });
});
