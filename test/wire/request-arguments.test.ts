/** Requests as people read them: each kind, what is never shown, and how much is looked at. */
import { describe, expect, test } from "bun:test";
import {
  getClusterLogBody,
  getConfigBody,
  getStatusBody,
  guestPropertiesBody,
  guestPropertyBody,
  logClusterMessageBody,
  setStatusBody,
} from "../../src/pmxcfs/client/cfs-requests.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/layouts.ts";
import { argumentsOf, argumentText } from "../../src/pmxcfs/requests/request-arguments.ts";

/** A body that its maker did not refuse, as text, of which `most` bytes are looked at. */
function shown(id: number, body: unknown, most?: number): string {
  if (!Buffer.isBuffer(body)) throw new TypeError(String(body));
  return argumentText(argumentsOf(id, body, most));
}

const ENTRY = { user: "root@pam", tag: "pvedaemon", message: "starting tâsk" };

test.each([
  [CfsIpc.GET_FS_VERSION, Buffer.alloc(0), ""],
  [
    CfsIpc.SET_STATUS,
    setStatusBody("nodeip", Buffer.from("10.0.0.1\0")),
    'name="nodeip" value_bytes=9',
  ],
  [CfsIpc.GET_STATUS, getStatusBody("tasklist", "pve1"), 'name="tasklist" node="pve1"'],
  [CfsIpc.GET_CONFIG, getConfigBody("storage.cfg"), 'path="storage.cfg"'],
  [
    CfsIpc.LOG_CLUSTER_MSG,
    logClusterMessageBody(ENTRY),
    'priority=6 user="root@pam" tag="pvedaemon" message="starting tâsk"',
  ],
  [CfsIpc.GET_CLUSTER_LOG, getClusterLogBody(50, "root@pam"), 'max_entries=50 user="root@pam"'],
  [CfsIpc.GET_GUEST_CONFIG_PROPERTY, guestPropertyBody(100, "lock"), 'vmid=100 property="lock"'],
  [
    CfsIpc.GET_GUEST_CONFIG_PROPERTIES,
    guestPropertiesBody(0, ["lock", "tags"]),
    'vmid=0 properties=["lock","tags"]',
  ],
  [
    CfsIpc.GET_GUEST_CONFIG_PROPERTIES,
    Buffer.from("\0\0\0\0\x02ab"),
    'vmid=0 properties="malformed"',
  ],
  [CfsIpc.GET_STATUS, Buffer.from("short"), "body_bytes=5"],
  [99, Buffer.from("what"), "body_bytes=4"],
])("request %d of %p is %p", (id, body, text) => {
  expect(shown(id, body)).toBe(text);
});

describe("secrets", () => {
  test.each([
    ["root@pam!ci 00000000-secret\0", "root@pam!ci ..."],
    ["root@pam!ci=00000000-secret\0", "root@pam!ci ..."],
    ["root@pam!ci\n00000000-secret\0", "..."],
    ["00000000-secret\0", "..."],
    ["00000000-secret", "..."],
    ["a!00000000-secret", "..."],
    [" 00000000-secret!x y\0", "..."],
    ["root@pam 00000000-secret!x y\0", "..."],
  ])("the token %p is %p", (body, token) => {
    expect(argumentsOf(CfsIpc.VERIFY_TOKEN, Buffer.from(body))).toEqual({ token });
  });

  test("a status value is only counted, whatever is in its name", () => {
    const body = Buffer.concat([Buffer.alloc(256, "n"), Buffer.from("secret")]);
    const text = shown(CfsIpc.SET_STATUS, body);
    expect(text).toContain("value_bytes=6");
    expect(text).not.toContain("secret");
    expect(shown(CfsIpc.SET_STATUS, body.subarray(100))).toBe("body_bytes=162");
  });
});

describe("of a large body the beginning is read", () => {
  const long = "x".repeat(100_000);

  test("a text is cut, what is fixed is whole, and sizes are those of all of it", () => {
    expect(shown(CfsIpc.GET_CONFIG, getConfigBody(long), 600)).toBe(`path="${"x".repeat(600)}"`);
    const status = setStatusBody("k".repeat(255), Buffer.from(long));
    expect(shown(CfsIpc.SET_STATUS, status, 600)).toEndWith("value_bytes=100000");
    const entry = logClusterMessageBody({ ...ENTRY, message: long });
    expect(shown(CfsIpc.LOG_CLUSTER_MSG, entry, 600).length).toBeLessThan(700);
  });

  test("names that are not all there are counted, and not called malformed", () => {
    const names = Array.from({ length: 200 }, (_, at) => `name${at}`);
    const body = guestPropertiesBody(7, names);
    expect(shown(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, body, 600)).toBe(
      'vmid=7 properties="200 names"',
    );
  });
});
