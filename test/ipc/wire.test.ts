/**
 * The seed's wire test: an unmodified libqb client that asks for 8 MiB uses `serve`; and the
 * ten-line C program prints what the server knows.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { native } from "../support/native.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { program, serveCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const NODE = "wire1";

let directory: string;
let server: Service;
let client: QbClient;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-wire-"));
  const guests = join(directory, "nodes", NODE, "lxc");
  mkdirSync(guests, { recursive: true });
  writeFileSync(join(guests, "200.conf"), "hostname: web\n");
  server = await startService(serveCommand("--dir", directory, "--node", NODE));
  client = await QbClient.open(server.name, { maxMessageBytes: 8 << 20, receiveBytes: 9 << 20 });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  expect(await server.stop()).toBe(0);
  await noRingsLeft(server.pid);
  rmSync(directory, { recursive: true });
});

test("a client that asks for 8 MiB gets them", () => {
  expect(client.connected).toMatchObject({ res: 0, buffer: 8 << 20 });
});

test("GET_FS_VERSION has the guest list's counter and this node", async () => {
  const answer = await client.call(1);
  expect(answer).toMatchObject({ id: 1, error: 0 });
  expect(JSON.parse(bodyText(answer))).toMatchObject({ vmlist: 1, kvstore: { [NODE]: {} } });
});

test("GET_CLUSTER_INFO names this node", async () => {
  const answer = await client.call(2);
  expect(JSON.parse(bodyText(answer))).toMatchObject({ nodename: NODE });
});

test("a payload where none belongs gets EINVAL, and the connection stays open", async () => {
  const answer = await client.call(1, "test_payload_data");
  expect(answer).toMatchObject({ id: 1, error: Errno.EINVAL, body: "" });
});

test("GET_GUEST_LIST has the guest", async () => {
  const answer = await client.call(3);
  const guest = { node: NODE, type: "lxc" };
  expect(JSON.parse(bodyText(answer))).toMatchObject({ ids: { "200": guest } });
});

/** Abstract names belong to a network namespace: in a new one, `pve2` is free. */
const alone = ["unshare", "--net", "sh", "-euc"];
const cannotBeAlone = Bun.which("unshare") === null || Bun.spawnSync([...alone, "true"]).exitCode;

testUnless(cannotBeAlone ? "needs unshare --net" : undefined)(
  "ten lines of C print the version counters of pve2",
  () => {
    const serve = [...program(), "serve", "--dir", directory, "--node", NODE];
    // Asks until the server listens, at most 100 times.
    const script = `"$@" & server=$!; i=0
      until "$TEN_LINES" 2>/dev/null; do [ $((i+=1)) -lt 100 ]; sleep 0.05; done
      kill $server; wait $server`;
    const done = Bun.spawnSync([...alone, script, "sh", ...serve], {
      env: { ...process.env, TEN_LINES: native("ten-lines") },
    });
    expect(done.exitCode).toBe(0);
    expect(JSON.parse(done.stdout.toString())).toMatchObject({ vmlist: 1 });
  },
);
