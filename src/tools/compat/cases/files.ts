/** Cases about the twelve requests on the runner's own files (fixtures.ts). */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc } from "../../../pmxcfs/requests/table.ts";
import type { Body } from "../body.ts";
import type { Case, Expect, Step } from "../case.ts";
import { ABSENT, any } from "../expect.ts";
import { FILES, LAST_TOKEN, NODE, STORAGE_CONFIG, TOKEN } from "../fixtures.ts";
import { call, config, properties, property, requestCase, token } from "./requests.ts";

const ENOENT: Expect = { errno: Errno.ENOENT };

function content(path: string): Body {
  return FILES[path] ?? "";
}

function fixtureCase(name: string, shows: string, steps: readonly Step[]): Case {
  return requestCase(name, shows, steps, ["fixtures"]);
}

const VM = `nodes/${NODE}/qemu-server/100.conf`;

/** No guest: those without the property, and 101, whose file is empty, are not in the answer. */
const NO_GUEST = { "100": ABSENT, "101": ABSENT, "200": ABSENT, "300": ABSENT };

export const FILE_CASES: readonly Case[] = [
  fixtureCase("config.content", "GET_CONFIG answers a file's bytes", [
    config("storage.cfg", { body: content("storage.cfg") }),
    config("user.cfg", { body: content("user.cfg") }),
    config("private.txt", { body: content("private.txt") }),
    config("lab/binary", { body: content("lab/binary") }),
    config(VM, { body: content(VM) }),
  ]),
  fixtureCase("config.empty-file", "GET_CONFIG of an empty file is an empty answer without error", [
    config("empty.cfg", { body: "" }),
  ]),
  fixtureCase("config.slashes", "GET_CONFIG ignores leading, trailing and doubled slashes", [
    config("/storage.cfg", { body: STORAGE_CONFIG }),
    config("storage.cfg/", { body: STORAGE_CONFIG }),
    config(`//nodes//${NODE}///qemu-server/100.conf`, { body: content(VM) }),
    config("storage.cfg/x", ENOENT),
  ]),
  fixtureCase(
    "config.bytes",
    "GET_CONFIG takes a path's last byte as NUL, and ends the path at its first NUL",
    [
      call(CfsIpc.GET_CONFIG, "storage.cfgX", { body: STORAGE_CONFIG }),
      call(CfsIpc.GET_CONFIG, "storage.cfg", ENOENT),
      call(CfsIpc.GET_CONFIG, "storage.cfg\0junk\0", { body: STORAGE_CONFIG }),
    ],
  ),
  fixtureCase("config.large", "GET_CONFIG answers half a megabyte", [
    config("lab/512k", { body: content("lab/512k") }),
  ]),
  {
    name: "config.largest",
    shows: "GET_CONFIG answers a file of 1 MiB, the maximum, to a client with a large enough ring",
    profiles: ["pmxcfs"],
    needs: ["fixtures"],
    steps: [
      { do: "connect", size: 2 * 1024 * 1024 },
      config("lab/1m", { body: content("lab/1m") }),
    ],
  },
  {
    name: "config.larger-than-ring",
    shows: "An answer larger than the ring is EMSGSIZE, and the connection stays usable",
    profiles: ["pmxcfs"],
    needs: ["fixtures"],
    steps: [
      { do: "connect", size: 65_536 },
      {
        do: "call",
        id: CfsIpc.GET_CONFIG,
        body: "lab/512k\0",
        expect: { errno: Errno.EMSGSIZE },
        deviation: {
          why: "the C server disconnects",
          expect: { fails: [Errno.ENOTCONN, Errno.EPIPE, Errno.ECONNRESET] },
        },
      },
    ],
  },
  fixtureCase("guest-list.guests", "GET_GUEST_LIST has the guests of all nodes", [
    call(CfsIpc.GET_GUEST_LIST, "", {
      json: {
        version: any("number"),
        ids: {
          "100": { node: NODE, type: "qemu", version: any("number") },
          "101": { node: NODE, type: "qemu", version: any("number") },
          "200": { node: NODE, type: "lxc", version: any("number") },
          "300": { node: "pve2", type: "qemu", version: any("number") },
        },
      },
    }),
  ]),
  fixtureCase(
    "property.one",
    "One property of one guest is answered byte for byte as by the C server",
    [
      property(100, "name", { body: '{\n"100":{"name": "web-01"}\n}\n' }),
      property(100, "cores", { body: '{\n"100":{"cores": "4"}\n}\n' }),
      property(200, "hostname", { body: '{\n"200":{"hostname": "ct200"}\n}\n' }),
      property(100, "missing", { body: "{\n\n}\n" }),
      property(100, "", { body: "{\n\n}\n" }),
    ],
  ),
  fixtureCase("property.escaped", "Quotes and backslashes in values are escaped", [
    property(100, "description", { json: { "100": { description: 'a \\ and a "' } } }),
  ]),
  fixtureCase("property.all", "vmid 0 means all guests except those whose file is empty", [
    property(0, "name", {
      json: { ...NO_GUEST, "100": { name: "web-01" }, "300": { name: "elsewhere" } },
    }),
  ]),
  fixtureCase("property.empty-file", "A property of a guest whose file is empty is EIO", [
    property(101, "name", { errno: Errno.EIO }),
    properties(101, ["name"], { errno: Errno.EIO }),
  ]),
  fixtureCase("properties.several", "Several properties are answered in the requested order", [
    properties(100, ["tags", "name", "cores"], {
      body: '{\n"100":{"tags": "prod;web","name": "web-01","cores": "4"}\n}\n',
    }),
    properties(100, ["name", "missing"], { body: '{\n"100":{"name": "web-01"}\n}\n' }),
    properties(100, ["missing"], { body: "{\n\n}\n" }),
  ]),
  fixtureCase("properties.all", "vmid 0 means several properties of all guests", [
    properties(0, ["memory", "arch"], {
      json: {
        ...NO_GUEST,
        "100": { memory: "8192", arch: ABSENT },
        "200": { memory: "512", arch: "amd64" },
      },
    }),
  ]),
  fixtureCase("token.right", "VERIFY_TOKEN finds whole lines, also a last line without a newline", [
    token(TOKEN, { body: "" }),
    token(LAST_TOKEN, { body: "" }),
    token(TOKEN.slice(0, -1), ENOENT),
    token(`${TOKEN}5`, ENOENT),
    token(TOKEN.toUpperCase(), ENOENT),
  ]),
];
