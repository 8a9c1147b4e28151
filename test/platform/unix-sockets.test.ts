/** The kernel's table of unix sockets, with all forms of rows. */
import { expect, test } from "bun:test";
import { fullAddress, isAbstractName, parseUnixSockets } from "../../src/platform/unix-sockets.ts";

test("listening, connected and unnamed sockets, and names with spaces, are parsed", () => {
  const full = fullAddress("pve2");
  const rows = parseUnixSockets(`Num       RefCount Protocol Flags    Type St Inode Path
00000000b0c5cf0f: 00000003 00000000 00000000 0001 03 15263 ${full}
000000005072d209: 00000003 00000000 00000000 0001 03  1589
000000008e5b40c6: 00000002 00000000 00010000 0001 01 15260 /run/a b
`);
  expect(rows).toEqual([
    { inode: 15_263, listening: false, connected: true, path: full },
    { inode: 1589, listening: false, connected: true, path: "" },
    { inode: 15_260, listening: true, connected: false, path: "/run/a b" },
  ]);
});

test("libqb's address has 108 characters, and no other service's name matches it", () => {
  expect(fullAddress("pve2").length).toBe(108);
  expect(isAbstractName(fullAddress("pve2"), "pve2")).toBe(true);
  expect(isAbstractName("@pve2", "pve2")).toBe(true);
  expect(isAbstractName(fullAddress("pve22"), "pve2")).toBe(false);
  expect(isAbstractName("/run/pve2", "pve2")).toBe(false);
});
