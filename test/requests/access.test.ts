/**
 * Which peers are accepted with which permissions, and which paths a read-only caller cannot read.
 */
import { describe, expect, test } from "bun:test";
import { Access, type AccessOptions } from "../../src/pmxcfs/requests/access.ts";
import { pathIsPrivate, pathParts } from "../../src/pmxcfs/state/private-path.ts";
import { Errno } from "../../src/base/errno.ts";
import { shortestMs } from "../support/shortest.ts";

const WWW_DATA = { name: "www-data", gid: 33 };

function verdict(uid: number, gid: number, options: Partial<AccessOptions> = {}) {
  const access = new Access({ group: WWW_DATA, ownUid: 0, ...options });
  return access.authenticate({ pid: 1, uid, gid });
}

describe("the accept rule", () => {
  test.each([
    [0, 0, "read-write"],
    [0, 990, "read-write"],
    [0, 33, "read-only"],
    [33, 33, "read-only"],
    [1000, 33, "read-only"],
    [33, 1000, Errno.EPERM],
    [1000, 1000, Errno.EPERM],
    [1000, 0, Errno.EPERM],
    [4294967295, 4294967295, Errno.EPERM],
  ] as const)("uid %d gid %d: %p", (uid, gid, expected) => {
    expect(verdict(uid, gid)).toBe(expected);
  });

  test("a server that is not root gives full access to its own uid and to root", () => {
    expect(verdict(1000, 1000, { ownUid: 1000 })).toBe("read-write");
    expect(verdict(0, 0, { ownUid: 1000 })).toBe("read-write");
    expect(verdict(1001, 1000, { ownUid: 1000 })).toBe(Errno.EPERM);
  });

  test("further uids write, further gids read; a gid that may read is checked first", () => {
    const options = { allowUids: [1000], allowGids: [2000] };
    expect(verdict(1000, 1000, options)).toBe("read-write");
    expect(verdict(1001, 2000, options)).toBe("read-only");
    expect(verdict(1000, 2000, options)).toBe("read-only");
    expect(verdict(1000, 33, options)).toBe("read-only");
    expect(verdict(1001, 1001, options)).toBe(Errno.EPERM);
  });

  test("--read-only applies to all callers, and accepts no further ones", () => {
    expect(verdict(0, 0, { readOnly: true })).toBe("read-only");
    expect(verdict(1000, 1000, { readOnly: true, allowUids: [1000] })).toBe("read-only");
    expect(verdict(1000, 1000, { readOnly: true })).toBe(Errno.EPERM);
  });

  test("without a www-data group only uids are accepted", () => {
    expect(verdict(33, 33, { group: undefined })).toBe(Errno.EPERM);
    expect(verdict(0, 33, { group: undefined })).toBe("read-write");
  });

  test("another group can be used instead", () => {
    const group = { name: "pve-readers", gid: 500 };
    expect(verdict(1, 500, { group })).toBe("read-only");
    expect(verdict(33, 33, { group })).toBe(Errno.EPERM);
  });

  test("a refusal names the peer, its ids and the rule", () => {
    const peer = { pid: 42, uid: 1000, gid: 1001 };
    const access = new Access({ group: WWW_DATA, ownUid: 0, allowUids: [7], allowGids: [8] });
    expect(access.refusal(peer, "bareos-fd")).toBe(
      "refused pid 42 (bareos-fd), uid 1000, gid 1001: needs uid 0 or 7, " +
        "or primary group 33 (www-data) or 8",
    );
    const bare = new Access({ group: undefined, ownUid: 0 });
    expect(bare.refusal(peer, "x")).toEndWith(": needs uid 0");
  });
});

describe("private paths", () => {
  test.each([
    "priv",
    "priv/",
    "/priv",
    "//priv//",
    "priv/token.cfg",
    "/priv/token.cfg",
    "//priv///token.cfg",
    "priv/a/b/c",
    "priv/priv",
    "priv/../storage.cfg",
    "nodes/pve1/priv",
    "nodes/pve1/priv/ssl.key",
    "/nodes/pve9/priv/",
    "nodes//pve1//priv//ssl.key",
    "nodes/../priv/x",
    "nodes/priv/priv",
  ])("%s is one", (path) => {
    expect(pathIsPrivate(path)).toBe(true);
  });

  test.each([
    "",
    "/",
    "private.txt",
    "priv.txt",
    "PRIV/x",
    "xpriv/x",
    " priv/x",
    "./priv/token.cfg",
    "nodes",
    "nodes/priv",
    "nodes/priv/x",
    "nodes/pve1/private",
    "nodes/pve1/lxc/priv",
    "nodes/pve1/qemu-server/priv/x",
    "node/pve1/priv",
    "local/priv/ssl.key",
    "a/priv",
  ])("%p is none", (path) => {
    expect(pathIsPrivate(path)).toBe(false);
  });

  test("a path of 1 MiB, which every client may send, is not divided into its parts", () => {
    const path = `x/priv${"/".repeat(1024 * 1024)}`;
    const dividedMs = shortestMs(5, () => expect(pathParts(path)).toHaveLength(2));
    const checkedMs = shortestMs(5, () => expect(pathIsPrivate(path)).toBe(false));
    expect(checkedMs * 4).toBeLessThan(dividedMs);
  });
});
