/** The metrics of real servers after real libqb clients: scraped, parsed, and held to the truth. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { eventually } from "../support/eventually.ts";
import { type Family, parseExposition } from "../support/exposition.ts";
import { WWW_DATA } from "../support/identity.ts";
import { QbClient } from "../support/qb-client.ts";
import { echoCommand, program, serveCommand, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, to mount");
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  writeFileSync(join(directory, "storage.cfg"), "dir: local\n");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function scrape(unix: string): Promise<Map<string, Family>> {
  const response = await fetch("http://localhost/metrics", { unix });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  return parseExposition(await response.text());
}

/** The same, undefined while nobody answers. */
async function scrapeOnce(unix: string): Promise<Map<string, Family> | undefined> {
  return existsSync(unix) ? await scrape(unix).catch(() => undefined) : undefined;
}

/** One sample, by its full name. */
function sample(families: Map<string, Family>, name: string): number | undefined {
  for (const { samples } of families.values()) {
    const value = samples.get(`pmxcfs_ipc_${name}`);
    if (value !== undefined) return value;
  }
  return undefined;
}

test("names, units and types are Prometheus's", async () => {
  const unix = join(directory, "names.sock");
  await using server = await startService(
    serveCommand("--dir", directory, "--no-rrd", "--group", "33", "--metrics", `unix:${unix}`),
  );
  await using client = await QbClient.open(server.name);
  await client.call(CfsIpc.GET_FS_VERSION);
  const families = await eventually("the socket", () => scrapeOnce(unix));
  for (const [name, { type, help }] of families) {
    expect(name).toMatch(/^pmxcfs_ipc_[a-z_]+$/);
    expect(help).toMatch(/^.+\.$/);
    expect(name.endsWith("_total")).toBe(type === "counter");
    expect(name).not.toMatch(/_(ms|milliseconds|kib|ns)$/);
  }
  expect(statSync(unix).mode & 0o777).toBe(0o660);
  expect((await fetch("http://localhost/", { unix })).status).toBe(404);
  expect((await fetch("http://localhost/metrics", { unix, method: "POST" })).status).toBe(405);
  expect(await server.stop()).toBe(0);
  expect(existsSync(unix)).toBe(false);
});

asRoot("a /dev/shm without a limit has no size, and is not taken for a full one", async () => {
  const unix = join(directory, "unlimited.sock");
  const mount = 'mount -t tmpfs -o size=0,nr_inodes=0 tmpfs /dev/shm && exec "$@"';
  const isolate = ["unshare", "-m", "sh", "-c", mount, "sh"];
  await using server = await startService((name) =>
    isolate.concat(serveCommand("--dir", directory, "--no-rrd", "--metrics", `unix:${unix}`)(name)),
  );
  const families = await eventually("the socket", () => scrapeOnce(unix));
  expect(sample(families, "connections")).toBe(0);
  expect(sample(families, "shm_size_bytes")).toBeUndefined();
  expect(sample(families, "shm_free_bytes")).toBeUndefined();
  expect(await server.stop()).toBe(0);
});

test("what clients did is what the metrics say", async () => {
  const unix = join(directory, "serve.sock");
  await using server = await startService(
    serveCommand("--dir", directory, "--no-rrd", "--group", "33", "--metrics", `unix:${unix}`),
  );
  const client = await QbClient.open(server.name);
  await using reader = await QbClient.open(server.name, WWW_DATA);
  for (let round = 0; round < 20; round++) await client.call(CfsIpc.GET_CONFIG, "storage.cfg\0");
  await client.call(CfsIpc.GET_CONFIG, "missing.cfg\0");
  await client.call(99);
  expect((await reader.call(CfsIpc.SET_STATUS, "x".padEnd(256, "\0"))).error).toBe(Errno.EPERM);
  await using refused = await QbClient.open(server.name, { uid: 65_534, gid: 65_534 });
  expect(refused.connected.res).toBeLessThan(0);
  const during = await eventually("the socket", () => scrapeOnce(unix));
  const get = (name: string) => sample(during, name);
  expect(get("connections")).toBe(2);
  expect(get('connections_refused_total{reason="denied"}')).toBe(1);
  expect(get('requests_total{operation="get-config"}')).toBe(21);
  expect(get('requests_total{operation="other"}')).toBe(1);
  expect(get('request_errors_total{operation="get-config",errno="ENOENT"}')).toBe(1);
  expect(get('request_errors_total{operation="other",errno="ECHRNG"}')).toBe(1);
  expect(get('request_errors_total{operation="set-status",errno="EPERM"}')).toBe(1);
  // "storage.cfg" and its NUL, 20 times; "missing.cfg" is as long.
  expect(get('request_bytes_sum{operation="get-config"}')).toBe(21 * 12);
  expect(get('request_bytes_bucket{le="64",operation="get-config"}')).toBe(21);
  expect(get('request_bytes_bucket{le="64",operation="set-status"}')).toBe(0);
  expect(get('request_bytes_bucket{le="256",operation="set-status"}')).toBe(1);
  expect(get('reply_bytes_sum{operation="get-config"}')).toBe(20 * "dir: local\n".length);
  expect(get('reply_bytes_count{operation="get-config"}')).toBe(20);
  expect(get('request_duration_seconds_count{operation="get-config"}')).toBe(2);
  expect(get('request_duration_seconds_bucket{le="+Inf",operation="get-config"}')).toBe(2);
  expect(get('request_duration_seconds_sum{operation="get-config"}')).toBeGreaterThan(0);
  expect(get('config_version{config="storage.cfg"}')).toBe(1);
  expect(get("config_load_seconds")).toBeGreaterThan(0);
  expect(get('loop_pause_seconds_bucket{le="+Inf"}')).toBeGreaterThanOrEqual(0);
  expect(get("loop_pause_seconds_count")).toBe(get('loop_pause_seconds_bucket{le="+Inf"}') ?? -1);
  expect(get("responses_total")).toBe(23);
  expect(get("shm_size_bytes")).toBeGreaterThan(get("shm_free_bytes") ?? Infinity);
  const build = [...(during.get("pmxcfs_ipc_build_info")?.samples ?? [])];
  expect(build).toHaveLength(1);
  expect(build[0]?.[0]).toContain(`bun="${Bun.version}"`);

  await client[Symbol.asyncDispose]();
  writeFileSync(join(directory, "storage.cfg"), "dir: other\n");
  const after = await eventually("the version moves and the connection is gone", async () => {
    await reader.call(CfsIpc.GET_FS_VERSION);
    const families = await scrape(unix);
    const moved = (sample(families, 'config_version{config="storage.cfg"}') ?? 0) > 1;
    return moved && sample(families, "connections") === 1 ? families : undefined;
  });
  expect(sample(after, "connections_closed_total")).toBe(1);
  const reloadTimes = (of: Map<string, Family>, part: string, labels = 'trigger="inotify"') =>
    sample(of, `config_reload_duration_seconds_${part}{${labels}}`) ?? Number.NaN;
  const reloads = reloadTimes(after, "count");
  expect(reloads).toBeGreaterThan(reloadTimes(during, "count"));
  expect(reloadTimes(after, "bucket", 'le="+Inf",trigger="inotify"')).toBe(reloads);
  expect(reloadTimes(after, "sum")).toBeGreaterThan(0);
  expect(reloadTimes(after, "count", 'trigger="sweep"')).toBe(0);
  expect(sample(after, "config_reload_failures_total")).toBe(0);
  expect(sample(after, "config_behind_seconds")).toBe(0);
  // Those of the connection that has ended are still counted.
  expect(sample(after, "responses_total")).toBeGreaterThan(23);
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
});

test("a loopback port, and a text file that ends with the server", async () => {
  const file = join(directory, "echo.prom");
  const free = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = free;
  free.stop(true);
  const flags = ["--metrics", `127.0.0.1:${port}`, "--metrics-textfile", file];
  await using server = await startService((name) => [...echoCommand(name), ...flags]);
  await using client = await QbClient.open(server.name);
  await client.call(7, "x");
  const written = await eventually("the file", () =>
    existsSync(file) ? readFileSync(file, "utf8") : undefined,
  );
  expect(sample(parseExposition(written), "connections_limit")).toBeGreaterThan(0);
  expect(statSync(file).mode & 0o777).toBe(0o644);
  const response = await eventually("the port", () =>
    fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined),
  );
  const families = parseExposition(await response.text());
  expect(sample(families, 'requests_total{operation="other"}')).toBe(1);
  expect(await server.stop()).toBe(0);
  expect(existsSync(file)).toBe(false);
});

test("a socket of a dead server is in nobody's way, one of a living server is", async () => {
  const unix = join(directory, "stale.sock");
  const start = () => startService((name) => [...echoCommand(name), "--metrics", `unix:${unix}`]);
  await using dead = await start();
  await eventually("the socket", () => existsSync(unix));
  await dead.stop("SIGKILL");
  expect(existsSync(unix)).toBe(true);
  await using server = await start();
  await eventually("it answers", () => scrapeOnce(unix));
  const words = [...program(), "echo", "--socket", `${server.name}b`, "--metrics", `unix:${unix}`];
  const second = Bun.spawnSync(words, { stderr: "pipe" });
  expect(second.exitCode).toBe(1);
  expect(second.stderr.toString()).toContain(`another process already has the socket ${unix}`);
  await scrape(unix);
  expect(await server.stop()).toBe(0);
});

test("an address that others could reach is refused", () => {
  const words = [...program(), "echo", "--socket", "unused", "--metrics", "0.0.0.0:9221"];
  const { exitCode, stderr } = Bun.spawnSync(words, { stderr: "pipe" });
  expect(exitCode).toBe(2);
  expect(stderr.toString()).toContain('--metrics: "0.0.0.0:9221" is not unix:PATH, or a loopback');
});
