/** Answers of GET_GUEST_CONFIG_PROPERTY(S) that are kept: correct after every change, bounded. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { KeptAnswers } from "../../src/pmxcfs/state/kept-answers.ts";
import { quoteJson } from "../../src/pmxcfs/state/json-text.ts";
import { ask, memdbOf, ROOT, servicesOf, text, WWW_DATA } from "../support/cfs-services.ts";
import { shortestMs } from "../support/shortest.ts";

const CONFIG = "nodes/pve1/qemu-server/100.conf";
const STAMP = { version: 99, writer: 0, mtime: 9 };
const { GET_GUEST_CONFIG_PROPERTY: ONE, GET_GUEST_CONFIG_PROPERTIES: SEVERAL } = CfsIpc;
const ALL_GUESTS = "\0\0\0\0";
const GUEST_100 = "\x64\0\0\0";

function setUp() {
  const memdb = memdbOf([{ path: CONFIG, content: Buffer.from("name: web\ntags: a\n") }]);
  const services = servicesOf(memdb);
  return { memdb, answer: (id: number, body: string) => ask(services, ROOT, id, body) };
}

test.each([
  ["a property of all guests", ONE, `${ALL_GUESTS}name\0`, '"name": "web"'],
  ["a property of one guest", ONE, `${GUEST_100}name\0`, '"name": "web"'],
  ["properties of all", SEVERAL, `${ALL_GUESTS}\x02name\0tags\0`, '"name": "web","tags": "a"'],
  ["properties of one", SEVERAL, `${GUEST_100}\x02tags\0name\0`, '"tags": "a","name": "web"'],
] as const)("%s: the same bytes until a guest changes", (_, id, body, values) => {
  const { memdb, answer } = setUp();
  const first = answer(id, body);
  expect(text(first)).toBe(`{\n"100":{${values}}\n}\n`);
  expect(answer(id, body)).toBe(first);
  memdb.write(memdb.find(CONFIG)!, Buffer.from("name: db\n"), STAMP);
  expect(text(answer(id, body))).toBe('{\n"100":{"name": "db"}\n}\n');
  memdb.remove(memdb.find(CONFIG)!);
  const gone = body.startsWith(GUEST_100) ? Errno.ENOENT : "{\n\n}\n";
  expect(text(answer(id, body))).toBe(gone);
});

test("a body that is valid for both requests gets the answer of each", () => {
  const { answer } = setUp();
  const body = `${ALL_GUESTS}\x01name\0`;
  for (let round = 0; round < 2; round++) {
    expect(text(answer(ONE, body))).toBe("{\n\n}\n");
    expect(text(answer(SEVERAL, body))).toBe('{\n"100":{"name": "web"}\n}\n');
  }
});

test("an answer to a large body is correct, and not kept", () => {
  const { answer } = setUp();
  const body = `${ALL_GUESTS}name\0${"x".repeat(4096)}`;
  const first = answer(ONE, body);
  expect(text(first)).toBe('{\n"100":{"name": "web"}\n}\n');
  expect(answer(ONE, body)).not.toBe(first);
});

test("errors are not kept", () => {
  const { memdb, answer } = setUp();
  const body = `${GUEST_100}name\0`;
  memdb.write(memdb.find(CONFIG)!, Buffer.alloc(0), STAMP);
  expect(answer(ONE, body)).toBe(Errno.EIO);
  memdb.write(memdb.find(CONFIG)!, Buffer.from("name: db\n"), STAMP);
  expect(text(answer(ONE, body))).toBe('{\n"100":{"name": "db"}\n}\n');
});

test("answers are bounded in number and in bytes", () => {
  const kept = new KeptAnswers();
  const held = (count: number) =>
    Array.from({ length: count }, (_, index) => kept.get(`${index}`)).filter(Boolean).length;
  for (let index = 0; index < 1_000; index++) {
    kept.keep(`${index}`, new Uint8Array(8));
    expect(held(index + 1)).toBeLessThanOrEqual(64);
  }
  expect(kept.get("999")?.length).toBe(8);
  kept.drop();
  for (let index = 0; index < 20; index++) kept.keep(`${index}`, new Uint8Array(2 ** 20));
  expect(held(20)).toBeLessThanOrEqual(8);
  const large = new Uint8Array(9 * 2 ** 20);
  expect(kept.keep("large", large)).toBe(large);
  expect(kept.get("large")).toBeUndefined();
});

test("a long name that no guest has is not escaped for JSON, which takes 100 ms per MiB", () => {
  const { answer } = setUp();
  const name = "\xe4".repeat(1024 * 1024);
  const escapeMs = shortestMs(3, () => quoteJson(name));
  const answerMs = shortestMs(3, () => answer(ONE, `${ALL_GUESTS}${name}\0`));
  expect(answerMs * 4).toBeLessThan(escapeMs);
});

test("a long name is not searched again for each guest", () => {
  const body = `${ALL_GUESTS}${"n".repeat(8 * 1024 * 1024)}\0`;
  const [one, many] = [1, 2000].map((count) => {
    const files = Array.from({ length: count }, (_, index) => ({
      path: `nodes/pve1/lxc/${100 + index}.conf`,
      content: Buffer.from("hostname: a\n"),
    }));
    const services = servicesOf(memdbOf(files));
    return shortestMs(3, () => ask(services, WWW_DATA, ONE, body));
  });
  expect(many).toBeLessThan((one ?? 0) * 8);
});

/** The end of a body that asks for one property several times. */
function often(times: number): string {
  return `${String.fromCharCode(times)}${"description\0".repeat(times)}`;
}

test("an answer for all guests that is larger than any reply is EMSGSIZE", () => {
  const files = Array.from({ length: 20 }, (_, index) => ({
    path: `nodes/pve1/lxc/${100 + index}.conf`,
    content: Buffer.from(`description: ${"d".repeat(64 * 1024)}\n`),
  }));
  const services = servicesOf(memdbOf(files));
  const answer = (vmid: string, times: number) =>
    ask(services, WWW_DATA, SEVERAL, vmid + often(times));
  expect(answer(GUEST_100, 255)).toHaveLength(255 * (64 * 1024 + 18) + 12);
  expect(answer(ALL_GUESTS, 12)).toBeInstanceOf(Uint8Array);
  for (let times = 13; times < 256; times += 40) {
    expect(answer(ALL_GUESTS, times)).toBe(Errno.EMSGSIZE);
  }
});

test("one guest's answer that is larger than any reply is EMSGSIZE", () => {
  const content = Buffer.from(`description: ${"d".repeat(70 * 1024)}\n`);
  const services = servicesOf(memdbOf([{ path: CONFIG, content }]));
  expect(ask(services, WWW_DATA, SEVERAL, GUEST_100 + often(255))).toBe(Errno.EMSGSIZE);
});
