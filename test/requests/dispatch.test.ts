/**
 * Every error branch of the twelve requests, in the order of the C server's checks: each row has
 * one error more than the row that passes; or two, of which the first check must be answered.
 */
import { describe, expect, test } from "bun:test";
import { dispatch, malformed } from "../../src/pmxcfs/requests/handler.ts";
import type { Caller } from "../../src/ipc/handler.ts";
import { Errno } from "../../src/base/errno.ts";
import { CfsIpc, requestOf, REQUESTS } from "../../src/pmxcfs/requests/table.ts";
import { newSpan, spanOf } from "../../src/wire/struct.ts";
import { ask, memdbOf, NODE, ROOT, servicesOf, text, WWW_DATA } from "../support/cfs-services.ts";
import type { TreeEntry } from "../support/vectors.ts";

const { EPERM, ENOENT, EIO, ENOMEM, EINVAL, EFBIG, ECHRNG } = Errno;

const TREE: readonly TreeEntry[] = Object.entries({
  "storage.cfg": "dir: local\n",
  empty: "",
  "b\xffn": "bytes \xff\n",
  ["n".repeat(255)]: "long name\n",
  "private.txt": "open\n",
  "priv/token.cfg": "root@pam!a 1111\n\nlast@pam!b 2222",
  "nodes/pve1/priv/ssl.key": "key\n",
  "nodes/pve1/qemu-server/100.conf": "name: web\ncores: 4\nEmpty: \n[snap]\nold: 1\n",
  "nodes/pve1/qemu-server/101.conf": "",
  "nodes/pve1/qemu-server/99.conf": "name: low\n",
  "nodes/pve2/lxc/200.conf": "hostname: ct\n",
}).map(([path, content]) => ({ path, content: Buffer.from(content, "latin1") }));

function setUp() {
  const services = servicesOf(memdbOf(TREE));
  return {
    services,
    as: (caller: Caller, id: number, body = "") => text(ask(services, caller, id, body)),
    root: (id: number, body = "") => text(ask(services, ROOT, id, body)),
  };
}

type Row = readonly [what: string, caller: Caller, body: string, expected: string | number];

function table(id: number, rows: readonly Row[]): void {
  test.each([...rows])("%s", (_, caller, body, expected) => {
    expect(setUp().as(caller, id, body)).toBe(expected);
  });
}

const name256 = (name: string) => name.padEnd(256, "\0");
const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString("latin1");
};

const ALL = 0xffff_ffff;

/** The body of GET_CLUSTER_LOG. */
function logOf(most: number, user: string): string {
  return u32(most) + "\0".repeat(12) + user;
}

describe("the table", () => {
  test("has twelve requests with different ids and names", () => {
    expect(REQUESTS.map(({ name, id }) => [name, id])).toEqual(Object.entries(CfsIpc) as never);
    for (const request of REQUESTS) expect(requestOf(request.id)).toBe(request);
  });

  test.each([0, 9, 14, 15, 255, -1, -2, -4, 2 ** 31 - 1, -(2 ** 31), 4.5, NaN])(
    "id %d is unknown (ECHRNG), with a correct or wrong header, for every caller",
    (id) => {
      const { services } = setUp();
      for (const caller of [ROOT, WWW_DATA]) {
        expect(ask(services, caller, id)).toBe(ECHRNG);
        expect(malformed(caller, id, newSpan(0), services)).toBe(ECHRNG);
      }
    },
  );

  test("a header with a wrong size is EINVAL, after EPERM", () => {
    for (const { id, access } of REQUESTS) {
      const { services } = setUp();
      const denied = access === "write" ? EPERM : EINVAL;
      for (const size of [0, 4]) {
        expect(malformed(ROOT, id, newSpan(size), services)).toBe(EINVAL);
        expect(malformed(WWW_DATA, id, newSpan(size), services)).toBe(denied);
      }
    }
    const writes = REQUESTS.filter(({ access }) => access === "write").map(({ name }) => name);
    expect(writes).toEqual(["SET_STATUS", "LOG_CLUSTER_MSG"]);
  });

  test("nothing outside the body is read, nor the body written", () => {
    const bodies = [name256("k"), "storage.cfg\0", "\x06\x02\x02r\0t\0m", `${u32(100)}\x01name`];
    for (const { id } of REQUESTS) {
      for (const body of ["", "x", ...bodies]) {
        const replies = ["\0", "A", "\xff"].map((around) => {
          const { services } = setUp();
          // Zeros follow the message, as in the transport.
          const after = `\0\0\0\0${around.repeat(600)}`;
          const bytes = Buffer.from(around.repeat(64) + body + after, "latin1");
          const before = Buffer.from(bytes);
          const span = { ...spanOf(bytes), at: 64, size: body.length };
          const reply = dispatch(services, ROOT, id, span);
          expect(bytes).toEqual(before);
          return text(reply);
        });
        expect(new Set(replies).size).toBe(1);
      }
    }
  });
});

describe.each([
  ["GET_FS_VERSION", 1],
  ["GET_CLUSTER_INFO", 2],
  ["GET_GUEST_LIST", 3],
  ["GET_RRD_DUMP", 10],
])("%s", (_, id) => {
  test("takes no body, and every caller may send it", () => {
    const { as } = setUp();
    expect(as(ROOT, id)).toBeString();
    expect(as(WWW_DATA, id)).toBe(as(ROOT, id));
    for (const body of ["\0", "x", "x".repeat(5000)]) expect(as(ROOT, id, body)).toBe(EINVAL);
  });

  test("returns the same bytes until something changes", () => {
    const { services } = setUp();
    const first = ask(services, ROOT, id);
    ask(services, WWW_DATA, id);
    expect(ask(services, ROOT, id)).toBe(first);
  });
});

describe("SET_STATUS", () => {
  table(CfsIpc.SET_STATUS, [
    ["sets", ROOT, `${name256("k")}v`, ""],
    ["removes what is not there", ROOT, name256("k"), ""],
    ["read-only", WWW_DATA, `${name256("k")}v`, EPERM],
    ["read-only and too short", WWW_DATA, "", EPERM],
    ["read-only and too long", WWW_DATA, name256("k") + "v".repeat(40_000), EPERM],
    ["255 bytes", ROOT, "k".repeat(255), EINVAL],
    ["no body", ROOT, "", EINVAL],
    ["32769 bytes", ROOT, name256("k") + "v".repeat(32_769), EFBIG],
    ["nodeip of 32769 bytes", ROOT, name256("nodeip") + "v".repeat(32_769), EFBIG],
    ["nodeip without NUL", ROOT, `${name256("nodeip")}1.2.3.4`, ENOMEM],
    ["nodeip of nothing", ROOT, name256("nodeip"), ENOMEM],
    ["rrd without NUL", ROOT, `${name256("rrd/x")}1:2`, ENOMEM],
    ["rrd of 4096 bytes", ROOT, `${name256("rrd/x")}${"1".repeat(4095)}\0`, ENOMEM],
  ]);

  test("byte 256 of the name is read as NUL", () => {
    const { root } = setUp();
    root(CfsIpc.SET_STATUS, `${"k".repeat(256)}v`);
    expect(root(CfsIpc.GET_STATUS, name256("k".repeat(255)) + name256(""))).toBe("v");
    expect(root(CfsIpc.GET_STATUS, "k".repeat(256) + name256(""))).toBe("v");
    expect(root(CfsIpc.GET_STATUS, name256("k".repeat(254)) + name256(""))).toBe(ENOENT);
  });

  test("a name ends at its first NUL", () => {
    const { root } = setUp();
    root(CfsIpc.SET_STATUS, `${name256("a\0b")}v`);
    expect(root(CfsIpc.GET_STATUS, name256("a\0c") + name256(""))).toBe("v");
  });

  test("a changed address increments the counter in GET_FS_VERSION", () => {
    const { root, services } = setUp();
    for (const ip of ["192.0.2.1", "192.0.2.1", "192.0.2.2"]) {
      expect(root(CfsIpc.SET_STATUS, `${name256("nodeip")}${ip}\0`)).toBe("");
    }
    expect(services.versions.clinfo).toBe(2);
    expect(root(CfsIpc.GET_CLUSTER_INFO)).toBe(`{\n"nodename": "pve1",\n"version": 2\n}\n`);
    expect(root(CfsIpc.GET_FS_VERSION)).toContain('\n"clinfo": 2,\n');
  });
});

describe("GET_STATUS", () => {
  table(CfsIpc.GET_STATUS, [
    ["511 bytes", ROOT, "\0".repeat(511), EINVAL],
    ["no body", ROOT, "", EINVAL],
    ["read-only and too short", WWW_DATA, "", EINVAL],
    ["an unknown key", ROOT, name256("k") + name256(""), ENOENT],
    ["an unknown node", ROOT, name256("k") + name256("nobody"), ENOENT],
  ]);

  test("a read-only caller reads this node's keys; more bytes are ignored", () => {
    const { as, root } = setUp();
    root(CfsIpc.SET_STATUS, `${name256("k")}v\0`);
    for (const node of ["", NODE]) {
      for (const more of ["", "x", "x".repeat(600)]) {
        expect(as(WWW_DATA, CfsIpc.GET_STATUS, name256("k") + name256(node) + more)).toBe("v\0");
      }
    }
    expect(root(CfsIpc.GET_STATUS, name256("k") + "n".repeat(256))).toBe(ENOENT);
  });

  test("a returned value stays unchanged when the key is set again", () => {
    const { services, root } = setUp();
    root(CfsIpc.SET_STATUS, `${name256("k")}first`);
    const reply = ask(services, ROOT, CfsIpc.GET_STATUS, name256("k") + name256(""));
    root(CfsIpc.SET_STATUS, `${name256("k")}other`);
    expect(text(reply)).toBe("first");
  });
});

describe("GET_CONFIG", () => {
  table(CfsIpc.GET_CONFIG, [
    ["a file", ROOT, "storage.cfg\0", "dir: local\n"],
    ["a file, read-only", WWW_DATA, "storage.cfg\0", "dir: local\n"],
    ["slashes do not matter", ROOT, "///storage.cfg//\0", "dir: local\n"],
    ["an empty file", ROOT, "empty\0", ""],
    ["a name that is not UTF-8", ROOT, "b\xffn\0", "bytes \xff\n"],
    ["a name of 255 bytes", ROOT, `${"n".repeat(255)}\0`, "long name\n"],
    ["the path ends at its first NUL", ROOT, "storage.cfg\0/x\0", "dir: local\n"],
    ["the last byte is taken as NUL", ROOT, "storage.cfgX", "dir: local\n"],
    ["no body", ROOT, "", EINVAL],
    ["no body, read-only", WWW_DATA, "", EINVAL],
    ["one byte: the root directory", ROOT, "x", ENOENT],
    ["a path without its NUL loses its last byte", ROOT, "storage.cfg", ENOENT],
    ["a directory", ROOT, "nodes\0", ENOENT],
    ["below a file", ROOT, "storage.cfg/x\0", ENOENT],
    ["dots are names", ROOT, "./storage.cfg\0", ENOENT],
    ["dots are names, twice", ROOT, "nodes/../storage.cfg\0", ENOENT],
    ["4 KiB of path", ROOT, `${"a/".repeat(2048)}\0`, ENOENT],
    ["a path of the mount", ROOT, ".version\0", ENOENT],
    ["private", ROOT, "priv/token.cfg\0", "root@pam!a 1111\n\nlast@pam!b 2222"],
    ["private, read-only", WWW_DATA, "priv/token.cfg\0", EPERM],
    ["private and missing, read-only", WWW_DATA, "priv/missing\0", EPERM],
    ["private with repeated slashes, read-only", WWW_DATA, "//priv//token.cfg\0", EPERM],
    ["private of a node, read-only", WWW_DATA, "nodes/pve1/priv/ssl.key\0", EPERM],
    ["the same with repeated slashes, read-only", WWW_DATA, "nodes//pve1//priv//ssl.key\0", EPERM],
    ["private of no node, read-only", WWW_DATA, "nodes/x/priv\0", EPERM],
    ["private up to its NUL, read-only", WWW_DATA, "priv\0ate.txt\0", EPERM],
    ["private but for its last byte, read-only", WWW_DATA, "privX", EPERM],
    ["not quite private", WWW_DATA, "private.txt\0", "open\n"],
    ["a dot before private", WWW_DATA, "./priv/token.cfg\0", ENOENT],
  ]);
});

describe("LOG_CLUSTER_MSG", () => {
  table(CfsIpc.LOG_CLUSTER_MSG, [
    ["logs", ROOT, "\x06\x02\x02u\0t\0m\0", ""],
    ["an empty message", ROOT, "\x06\x02\x02u\0t\0\0", ""],
    ["a message without NUL", ROOT, "\x06\x02\x02u\0t\0m", ""],
    ["priority 8", ROOT, "\x08\x02\x02u\0t\0m\0", ""],
    ["read-only", WWW_DATA, "\x06\x02\x02u\0t\0m\0", EPERM],
    ["read-only and too short", WWW_DATA, "", EPERM],
    ["no body", ROOT, "", EINVAL],
    ["three bytes", ROOT, "\x06\x00\x00", EINVAL],
    ["no message", ROOT, "\x06\x02\x02u\0t\0", EINVAL],
    ["lengths beyond the end", ROOT, "\x06\xc8\x02u\0t\0m\0", EINVAL],
    ["the longest lengths", ROOT, `\x06\xff\xff${"\0".repeat(509)}`, EINVAL],
    ["the longest lengths, and one", ROOT, `\x06\xff\xff${"\0".repeat(511)}`, ""],
    ["no NUL before the tag", ROOT, "\x06\x01\x02ut\0m\0", EINVAL],
    ["no NUL before the message", ROOT, "\x06\x02\x01u\0tm\0", EINVAL],
    ["no ident: its NUL is the tag's length", ROOT, "\x06\x00\x01\0m\0", EINVAL],
    ["no ident and no tag", ROOT, "\x06\x00\x00m\0", ""],
  ]);

  test.each([
    ["\x06\x02\x02u\0t\0m\0", "u", "t", "m"],
    ["\x06\x02\x02u\0t\0m", "u", "t", "m"],
    ["\x06\x00\x00same\0", "same", "same", "same"],
    ["\x06\x01\x00\0msg\0", "", "msg", "msg"],
    ["\x06\x02\x00r\0msg\0", "r", "msg", "msg"],
    ["\x06\x01\x01\0\0m\0", "", "", "m"],
    ["\x06\x04\x04a\0b\0c\0d\0e\0f\0", "a", "c", "e"],
  ])("%j says who and what", (body, user, tag, message) => {
    const { services, as } = setUp();
    as({ ...ROOT, pid: 99 }, CfsIpc.LOG_CLUSTER_MSG, body);
    const dump = JSON.parse(Buffer.from(services.clusterLog.dump("", 1)).toString()) as {
      data: unknown[];
    };
    expect(dump.data).toMatchObject([{ uid: 2, pid: 99, pri: 6, user, tag, msg: message }]);
  });
});

describe("GET_CLUSTER_LOG", () => {
  const none = '{\n"data": [\n]\n}\n';

  table(CfsIpc.GET_CLUSTER_LOG, [
    ["of an unknown user", ROOT, logOf(0, "nobody\0"), none],
    ["of an unknown user, read-only", WWW_DATA, logOf(0, "nobody\0"), none],
    ["no body", ROOT, "", EINVAL],
    ["16 bytes", ROOT, logOf(0, ""), EINVAL],
    ["16 bytes, read-only", WWW_DATA, logOf(0, ""), EINVAL],
  ]);

  test("the user ends at its NUL or before the last byte; reserved words are ignored", () => {
    const { root } = setUp();
    const one = root(CfsIpc.GET_CLUSTER_LOG, logOf(0, "\0"));
    expect(one).toContain('"msg": "starting cluster log"}\n]\n}\n');
    const same = ["x", "root\0", "rootX", "root\0x\0"].map((user) => logOf(ALL, user));
    const reserved = `${u32(1)}${"\xff".repeat(12)}\0`;
    for (const body of [...same, reserved]) expect(root(CfsIpc.GET_CLUSTER_LOG, body)).toBe(one);
  });
});

describe("GET_GUEST_CONFIG_PROPERTY", () => {
  const none = "{\n\n}\n";

  table(CfsIpc.GET_GUEST_CONFIG_PROPERTY, [
    ["a property", ROOT, `${u32(100)}name\0`, '{\n"100":{"name": "web"}\n}\n'],
    ["read-only", WWW_DATA, `${u32(100)}name\0`, '{\n"100":{"name": "web"}\n}\n'],
    ["the last byte is taken as NUL", ROOT, `${u32(100)}nameX`, '{\n"100":{"name": "web"}\n}\n'],
    ["the name ends at its NUL", ROOT, `${u32(100)}name\0x\0`, '{\n"100":{"name": "web"}\n}\n'],
    ["no such property", ROOT, `${u32(100)}x\0`, none],
    ["a name of any kind", ROOT, `${u32(100)}1"\\\xff\0`, none],
    ["the empty name", ROOT, `${u32(100)}\0`, none],
    ["only in a snapshot", ROOT, `${u32(100)}old\0`, none],
    ["all guests", ROOT, `${u32(0)}hostname\0`, '{\n"200":{"hostname": "ct"}\n}\n'],
    ["vmid 1", ROOT, `${u32(1)}name\0`, EINVAL],
    ["vmid 99, which exists", ROOT, `${u32(99)}name\0`, EINVAL],
    ["vmid 99 and no property", ROOT, u32(99), EINVAL],
    ["vmid 102", ROOT, `${u32(102)}name\0`, ENOENT],
    ["the largest vmid", ROOT, `${u32(ALL)}name\0`, ENOENT],
    ["vmid 102 and no property", ROOT, u32(102), ENOENT],
    ["no property", ROOT, u32(100), EINVAL],
    ["no property of all", ROOT, u32(0), EINVAL],
    ["no property of an empty file", ROOT, u32(101), EINVAL],
    ["an empty file", ROOT, `${u32(101)}name\0`, EIO],
    ["no body", ROOT, "", EINVAL],
    ["three bytes", ROOT, "\x64\0\0", EINVAL],
  ]);
});

describe("GET_GUEST_CONFIG_PROPERTIES", () => {
  const request = (vmid: number, count: number, names: string) =>
    u32(vmid) + String.fromCharCode(count) + names;
  const both = '{\n"100":{"cores": "4","name": "web"}\n}\n';
  const twice = '{\n"100":{"name": "web","name": "web"}\n}\n';

  table(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, [
    ["in the order asked for", ROOT, request(100, 2, "cores\0name\0"), both],
    ["read-only", WWW_DATA, request(100, 2, "cores\0name\0"), both],
    ["one asked for twice", ROOT, request(100, 2, "name\0name\0"), twice],
    ["none found", ROOT, request(100, 1, "x\0"), "{\n\n}\n"],
    ["vmid 5", ROOT, request(5, 1, "name\0"), EINVAL],
    ["vmid 102", ROOT, request(102, 1, "name\0"), ENOENT],
    ["vmid 102 and a bad name", ROOT, request(102, 1, "Name\0"), ENOENT],
    ["vmid 102 and count 0", ROOT, request(102, 0, "name\0"), ENOENT],
    ["vmid 102 and no name", ROOT, request(102, 1, ""), ENOENT],
    ["an empty file", ROOT, request(101, 1, "name\0"), EIO],
    ["an empty file and a bad name", ROOT, request(101, 1, "Name\0"), EINVAL],
    ["count 0", ROOT, request(100, 0, "name\0"), EINVAL],
    ["no names", ROOT, request(100, 1, ""), EINVAL],
    ["a NUL only", ROOT, request(100, 1, "\0"), EINVAL],
    ["an empty name", ROOT, request(100, 2, "\0name\0"), EINVAL],
    ["an empty name at the end", ROOT, request(100, 2, "name\0\0"), EINVAL],
    ["no NUL", ROOT, request(100, 1, "name"), EINVAL],
    ["no NUL at the end", ROOT, request(100, 2, "name\0cores"), EINVAL],
    ["one name too few", ROOT, request(100, 3, "name\0cores\0"), EINVAL],
    ["one name too many", ROOT, request(100, 1, "name\0cores\0"), EINVAL],
    ["a NUL too many", ROOT, request(100, 1, "name\0\0"), EINVAL],
    ["upper case", ROOT, request(100, 1, "Name\0"), EINVAL],
    ["upper case second", ROOT, request(100, 2, "name\0Cores\0"), EINVAL],
    ["a digit", ROOT, request(100, 1, "0name\0"), EINVAL],
    ["a byte above ASCII", ROOT, request(100, 1, "\xe9a\0"), EINVAL],
    ["bad names of all guests", ROOT, request(0, 1, "Name\0"), EINVAL],
    ["what follows the first letter is free", ROOT, request(100, 1, 'n"A\xff\0'), "{\n\n}\n"],
    ["four bytes", ROOT, u32(100), EINVAL],
    ["no body", ROOT, "", EINVAL],
  ]);

  test("255 names are accepted, the most that the count can express", () => {
    const body = request(100, 255, "name\0".repeat(255));
    const reply = setUp().root(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, body);
    expect(String(reply).match(/"name": "web"/g)).toHaveLength(255);
  });
});

describe("VERIFY_TOKEN", () => {
  table(CfsIpc.VERIFY_TOKEN, [
    ["a line", ROOT, "root@pam!a 1111\0", ""],
    ["a line, read-only", WWW_DATA, "root@pam!a 1111\0", ""],
    ["a last line without newline", ROOT, "last@pam!b 2222\0", ""],
    ["no such line", ROOT, "root@pam!a 1112\0", ENOENT],
    ["part of a line", ROOT, "root@pam!a 111\0", ENOENT],
    ["more than a line", ROOT, "root@pam!a 11111\0", ENOENT],
    ["another case", ROOT, "Root@pam!a 1111\0", ENOENT],
    ["more than a file", ROOT, `${"x".repeat(2 ** 20 + 1)}\0`, ENOENT],
    ["more than a file, two lines", ROOT, `${"x".repeat(2 ** 20)}\nx\0`, EINVAL],
    ["no such line, read-only", WWW_DATA, "x\0", ENOENT],
    ["no body", ROOT, "", EINVAL],
    ["a NUL alone", ROOT, "\0", EINVAL],
    ["one byte", ROOT, "x", EINVAL],
    ["no NUL", ROOT, "root@pam!a 1111", EINVAL],
    ["a NUL inside", ROOT, "root@pam!a\x001111\0", EINVAL],
    ["two NULs at the end", ROOT, "root@pam!a 1111\0\0", EINVAL],
    ["a newline at the end", ROOT, "root@pam!a 1111\n\0", EINVAL],
    ["a newline for the NUL", ROOT, "root@pam!a 1111\n", EINVAL],
    ["two lines", ROOT, "root@pam!a 1111\nlast@pam!b 2222\0", EINVAL],
  ]);

  test("without the file there is no token", () => {
    const services = servicesOf(memdbOf([]));
    expect(ask(services, ROOT, CfsIpc.VERIFY_TOKEN, "x\0")).toBe(ENOENT);
  });
});
