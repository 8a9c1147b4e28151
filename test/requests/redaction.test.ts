/** What is removed from recordings, by canonical path, property and request; and what is kept. */
import { describe, expect, test } from "bun:test";
import { bodyOf } from "../../src/pmxcfs/requests/encoding.ts";
import { REDACTED } from "../../src/pmxcfs/requests/redaction.ts";
import { getConfig } from "../../src/pmxcfs/requests/rows/get-config.ts";
import { logClusterMsg } from "../../src/pmxcfs/requests/rows/log-cluster-msg.ts";
import { setStatus } from "../../src/pmxcfs/requests/rows/set-status.ts";
import { verifyToken } from "../../src/pmxcfs/requests/rows/verify-token.ts";
import { CfsIpc } from "../../src/pmxcfs/requests/table.ts";
import { redactBody, redactReply } from "../../src/tools/trace/redact.ts";

const SECRET = "S3CRET-and-no-other";

const config = (secret: string) =>
  `name: web\ncipassword: ${secret}\nsshkeys: ${secret}\n[snap]\ncipassword: ${secret}\n`;

const sections = (secret: string): string =>
  `openid: sso\n\tclient-id pve\n\tclient-key ${secret}\n\nnetbox: nb\n\turl https://a\n` +
  `\ttoken ${secret}\n\npowerdns: dns\n    key  ${secret}\n\tkeys-of 2\n`;

const proxy = (secret: string): string => `http_proxy: http://user:${secret}@proxy:3128\n`;

const properties = (secret: string) =>
  `{\n"100":{"name": "a \\"b\\"","cipassword": "${secret}","sshkeys": "${secret}"}\n}\n`;

const log = (message: string) =>
  `{\n"data": [\n{"uid": 1, "tag": "t", "msg": "${message}"}\n]\n}\n`;

function file(path: string, content: string): string {
  const body = bodyOf(getConfig, { path });
  const reply = Buffer.from(content);
  const kept = redactReply(CfsIpc.GET_CONFIG, body, reply);
  if (Buffer.from(kept).equals(reply)) expect(kept).toBe(reply);
  return Buffer.from(kept).toString();
}

describe("files", () => {
  test.each([
    "priv/token.cfg",
    "/priv//token.cfg",
    "priv/token.cfg/",
    "//priv/x",
    "nodes/n/priv/x",
    "nodes//n/priv//x/",
    "nodes/n/pve-ssl.key",
    "nodes/n/pve-ssl.key/",
    "nodes//n//pve-ssl.key",
    "nodes/n/pve-ssl.key.bak",
    "nodes/n/pve-ssl.key~",
    "nodes/n/pve-ssl.key-old",
    "nodes/n/pve-ssl.KEY",
    "pve.key",
    "ceph/ceph.client.crash.keyring",
    "ceph.client.admin.keyring.bak",
    "ceph/client.secret",
  ])("the content of %j is redacted", (path) => {
    expect(file(path, SECRET)).toBe(`${REDACTED}\n`);
    expect(file(path, "")).toBe("");
  });

  test("the path is taken as by the server, without its last byte", () => {
    const body = Buffer.from("nodes/n/pve-ssl.keyX");
    const kept = redactReply(CfsIpc.GET_CONFIG, body, Buffer.from(SECRET));
    expect(Buffer.from(kept).toString()).toBe(`${REDACTED}\n`);
  });

  test.each(["storage.cfg", "private.txt", "keys.cfg", "nodes/n/keyboard", "x/priv/y", "monkey"])(
    "%j is kept",
    (path) => expect(file(path, SECRET)).toBe(SECRET),
  );

  test("only passwords and ssh keys are removed from a guest's configuration", () => {
    expect(file("nodes/n/qemu-server/100.conf", config(SECRET))).toBe(config(REDACTED));
    expect(file("nodes/n/lxc/200.conf", "hostname: a\n")).toBe("hostname: a\n");
    expect(file("x.conf", `sshkeys: a\r${SECRET}\u0085${SECRET}\nname: b`)).toBe(
      `sshkeys: ${REDACTED}\nname: b`,
    );
  });

  test("the secrets of section configurations are removed", () => {
    for (const path of ["domains.cfg", "sdn/ipams.cfg", "sdn/dns.cfg"]) {
      expect(file(path, sections(SECRET))).toBe(sections(REDACTED));
    }
    expect(file("datacenter.cfg", proxy(SECRET))).toBe(proxy(REDACTED));
    const kept = "cifs: s\n\tserver a\n\tusername key\n\nbase http://a:80/b@c\n";
    expect(file("storage.cfg", kept)).toBe(kept);
  });
});

function redacted(id: number, text: string): string {
  return Buffer.from(redactReply(id, Buffer.alloc(600), Buffer.from(text))).toString();
}

describe("answers", () => {
  test.each([CfsIpc.GET_GUEST_CONFIG_PROPERTY, CfsIpc.GET_GUEST_CONFIG_PROPERTIES])(
    "request %d returns properties without passwords",
    (id) => {
      expect(redacted(id, properties(`${SECRET}\\"x`))).toBe(properties(REDACTED));
      expect(redacted(id, properties(""))).toBe(properties(REDACTED));
    },
  );

  test("the cluster log keeps all but its messages", () => {
    expect(redacted(CfsIpc.GET_CLUSTER_LOG, log(`say \\"${SECRET}\\"`))).toBe(log(REDACTED));
  });

  test("status values keep their JSON, without its texts", () => {
    expect(redacted(CfsIpc.GET_STATUS, `[{"upid":"${SECRET}","n":1,"ok":true}]\0`)).toBe(
      '[{"upid":"","n":1,"ok":true}]\0',
    );
    expect(redacted(CfsIpc.GET_STATUS, `${SECRET}\0`)).toBe(`${REDACTED}\0`);
    expect(redacted(CfsIpc.GET_STATUS, "")).toBe("");
  });

  test("an answer without secrets is returned as the same object", () => {
    const given = Buffer.from("{}");
    expect(redactReply(CfsIpc.GET_FS_VERSION, Buffer.alloc(0), given)).toBe(given);
    expect(redactReply(99, Buffer.alloc(0), given)).toBe(given);
  });
});

describe("requests", () => {
  test("only the name of a token is kept", () => {
    const body = bodyOf(verifyToken, { token: `root@pam!ci ${SECRET}` });
    expect(redactBody(CfsIpc.VERIFY_TOKEN, body).toString()).toBe(`root@pam!ci ${REDACTED}\0`);
    for (const token of [SECRET, `${SECRET} x`, `${SECRET}=x`, ` ${SECRET}`]) {
      const odd = bodyOf(verifyToken, { token });
      expect(redactBody(CfsIpc.VERIFY_TOKEN, odd).toString()).toBe(`${REDACTED}\0`);
    }
  });

  test("a status value and a log message are removed, key, user and tag are kept", () => {
    const status = redactBody(4, bodyOf(setStatus, { key: "kv", value: Buffer.from(SECRET) }));
    expect(status.toString("latin1", 0, 2)).toBe("kv");
    expect(status.toString()).not.toContain(SECRET);
    const entry = { user: "root@pam", tag: "t", message: SECRET };
    const entered = redactBody(7, bodyOf(logClusterMsg, entry));
    expect(entered.toString()).toBe(`\u0006\u0009\u0002root@pam\0t\0${REDACTED}\0`);
    const removal = bodyOf(setStatus, { key: "kv" });
    expect(redactBody(4, removal)).toBe(removal);
  });

  test("a second redaction changes nothing, so that a replay finds the recording", () => {
    const bodies = [
      [4, bodyOf(setStatus, { key: "kv", value: Buffer.from(SECRET) })],
      [7, bodyOf(logClusterMsg, { user: "u", tag: "t", message: SECRET })],
      [12, bodyOf(verifyToken, { token: `a@b!c ${SECRET}` })],
    ] as const;
    for (const [id, body] of bodies) {
      const once = redactBody(id, body);
      expect(redactBody(id, once).equals(once)).toBe(true);
    }
  });
});
