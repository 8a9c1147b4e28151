/** Descriptions of requests: of each kind, without secrets, and of large bodies. */
import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../src/pmxcfs/requests/encoding.ts";
import { getClusterLog } from "../../src/pmxcfs/requests/rows/get-cluster-log.ts";
import { getConfig } from "../../src/pmxcfs/requests/rows/get-config.ts";
import {
  getGuestConfigProperties,
  getGuestConfigProperty,
} from "../../src/pmxcfs/requests/rows/guest-properties.ts";
import { getStatus } from "../../src/pmxcfs/requests/rows/get-status.ts";
import { logClusterMsg } from "../../src/pmxcfs/requests/rows/log-cluster-msg.ts";
import { setStatus } from "../../src/pmxcfs/requests/rows/set-status.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { describe as described, descriptionText } from "../../src/pmxcfs/requests/wording.ts";

/** The description of a body of which at most `most` bytes are read. */
function shown(id: number, body: Buffer, most?: number): string {
  return descriptionText(described(id, body, most));
}

const ENTRY = { user: "root@pam", tag: "pvedaemon", message: "starting tâsk" };

test.each([
  [CfsIpc.GET_FS_VERSION, Buffer.alloc(0), ""],
  [
    CfsIpc.SET_STATUS,
    bodyOf(setStatus, { key: "nodeip", value: Buffer.from("10.0.0.1\0") }),
    'name="nodeip" value_bytes=9',
  ],
  [
    CfsIpc.GET_STATUS,
    bodyOf(getStatus, { key: "tasklist", node: "pve1" }),
    'name="tasklist" node="pve1"',
  ],
  [CfsIpc.GET_CONFIG, bodyOf(getConfig, { path: "storage.cfg" }), 'path="storage.cfg"'],
  [
    CfsIpc.LOG_CLUSTER_MSG,
    bodyOf(logClusterMsg, ENTRY),
    'priority=6 user="root@pam" tag="pvedaemon" message_bytes=15',
  ],
  [
    CfsIpc.GET_CLUSTER_LOG,
    bodyOf(getClusterLog, { max: 50, user: "root@pam" }),
    'max_entries=50 user="root@pam"',
  ],
  [
    CfsIpc.GET_GUEST_CONFIG_PROPERTY,
    bodyOf(getGuestConfigProperty, { vmid: 100, property: "lock" }),
    'vmid=100 property="lock"',
  ],
  [
    CfsIpc.GET_GUEST_CONFIG_PROPERTIES,
    bodyOf(getGuestConfigProperties, { vmid: 0, properties: ["lock", "tags"] }),
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
    expect(described(CfsIpc.VERIFY_TOKEN, Buffer.from(body))).toEqual({ token });
  });

  test("only the size of a status value is shown, for any name", () => {
    const body = Buffer.concat([Buffer.alloc(256, "n"), Buffer.from("secret")]);
    const text = shown(CfsIpc.SET_STATUS, body);
    expect(text).toContain("value_bytes=6");
    expect(text).not.toContain("secret");
    expect(shown(CfsIpc.SET_STATUS, body.subarray(100))).toBe("body_bytes=162");
  });
});

describe("of a large body only the beginning is read", () => {
  const long = "x".repeat(100_000);

  test("a text is truncated, fixed fields are complete, and sizes are those of the body", () => {
    expect(shown(CfsIpc.GET_CONFIG, bodyOf(getConfig, { path: long }), 600)).toBe(
      `path="${"x".repeat(600)}"`,
    );
    const status = bodyOf(setStatus, { key: "k".repeat(255), value: Buffer.from(long) });
    expect(shown(CfsIpc.SET_STATUS, status, 600)).toEndWith("value_bytes=100000");
    const entry = bodyOf(logClusterMsg, { ...ENTRY, message: long });
    expect(shown(CfsIpc.LOG_CLUSTER_MSG, entry, 600).length).toBeLessThan(700);
  });

  test("names that were not all read are counted, not called malformed", () => {
    const names = Array.from({ length: 200 }, (_, at) => `name${at}`);
    const body = bodyOf(getGuestConfigProperties, { vmid: 7, properties: names });
    expect(shown(CfsIpc.GET_GUEST_CONFIG_PROPERTIES, body, 600)).toBe(
      'vmid=7 properties="200 names"',
    );
  });
});
