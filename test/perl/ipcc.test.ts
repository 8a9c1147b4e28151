/**
 * All twelve requests from Perl through libqb, packed and unpacked as PVE's client does it in its
 * own Perl. It needs no PVE.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errno } from "../../src/base/errno.ts";
import { serveCommand, startService, type Service } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";

setDefaultTimeout(60_000);

const NODE = "perl1";
const TOKEN = "root@pam!perl 0f1e2d3c";
const STORAGE = "dir: local\n\tpath /var/lib/vz\n";

interface Answer {
  readonly name: string;
  readonly errno: number;
  readonly body: string;
}

let directory: string;
let server: Service;
let answers: Map<string, { errno: number; text: string }>;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-perl-"));
  for (const name of ["priv", `nodes/${NODE}/qemu-server`]) {
    mkdirSync(join(directory, name), { recursive: true });
  }
  writeFileSync(join(directory, "storage.cfg"), STORAGE);
  writeFileSync(join(directory, "priv/token.cfg"), `${TOKEN}\n`);
  const guest = join(directory, `nodes/${NODE}/qemu-server/100.conf`);
  writeFileSync(guest, "name: perl-guest\nmemory: 2048\n");
  server = await startService(serveCommand("--dir", directory, "--node", NODE));
  answers = askAll();
});

afterAll(async () => {
  await server.stop();
  await noRingsLeft(server.pid);
  rmSync(directory, { recursive: true });
});

function askAll(): typeof answers {
  const script = join(import.meta.dir, "ipcc.pl");
  const perl = Bun.spawnSync(["perl", script, server.name, "100", "storage.cfg", TOKEN]);
  if (!perl.success) {
    throw new Error(`apt-get install libffi-platypus-perl? ${perl.stderr.toString()}`);
  }
  const lines = perl.stdout.toString().trim().split("\n");
  return new Map(
    lines.map((line) => {
      const { name, errno, body } = JSON.parse(line) as Answer;
      return [name, { errno, text: Buffer.from(body, "hex").toString() }];
    }),
  );
}

function answer(name: string): { errno: number; text: string } {
  const found = answers.get(name);
  if (found === undefined) throw new Error(`${name} was not asked`);
  return found;
}

function json(name: string): unknown {
  expect(answer(name).errno).toBe(0);
  return JSON.parse(answer(name).text);
}

test("GET_FS_VERSION and GET_CLUSTER_INFO are JSON that PVE decodes", () => {
  expect(json("get-fs-version")).toMatchObject({ vmlist: 1, "storage.cfg": 1, kvstore: {} });
  expect(json("get-cluster-info")).toMatchObject({ nodename: NODE });
});

test("GET_GUEST_LIST has the guest", () => {
  expect(json("get-guest-list")).toMatchObject({ ids: { "100": { node: NODE, type: "qemu" } } });
});

test("SET_STATUS is answered without a body, and GET_STATUS returns its bytes", () => {
  expect(answer("set-status")).toEqual({ errno: 0, text: "" });
  expect(answer("get-status")).toEqual({ errno: 0, text: "stored by perl\0" });
});

test("GET_CONFIG returns the file", () => {
  expect(answer("get-config")).toEqual({ errno: 0, text: STORAGE });
});

test("a message of LOG_CLUSTER_MSG is in the answer to GET_CLUSTER_LOG", () => {
  expect(answer("log-cluster-msg")).toEqual({ errno: 0, text: "" });
  const { data } = json("get-cluster-log") as { data: Record<string, unknown>[] };
  const wanted = { user: "perl", tag: "test", msg: "a message from perl", pri: 6, node: NODE };
  expect(data[0]).toMatchObject(wanted);
});

test("GET_RRD_DUMP of an empty store is one NUL", () => {
  expect(answer("get-rrd-dump")).toEqual({ errno: 0, text: "\0" });
});

test("GET_GUEST_CONFIG_PROPERTY returns one property, GET_GUEST_CONFIG_PROPERTIES several", () => {
  expect(json("get-guest-config-property")).toEqual({ "100": { name: "perl-guest" } });
  const both = { "100": { name: "perl-guest", memory: "2048" } };
  expect(json("get-guest-config-properties")).toEqual(both);
});

test("VERIFY_TOKEN accepts the token and answers ENOENT for another", () => {
  expect(answer("verify-token")).toEqual({ errno: 0, text: "" });
  expect(answer("verify-token-unknown").errno).toBe(-Errno.ENOENT);
});

test("an unknown request id is answered with ECHRNG", () => {
  expect(answer("unknown-request").errno).toBe(-Errno.ECHRNG);
});
