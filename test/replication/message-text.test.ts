/** Messages of the groups as lines of `cluster watch`. */
import { expect, test } from "bun:test";
import { encodeNormal } from "../../src/pmxcfs/replication/message.ts";
import { type GroupName, messageText } from "../../src/pmxcfs/replication/message-text.ts";

function textOf(group: GroupName, subtype: number, body: Buffer): string {
  return messageText(group, encodeNormal({ protocol: 1, time: 1 }, { subtype, count: 5n, body }));
}

test("a message of a kind that the group does not have is shown by its number", () => {
  const body = Buffer.alloc(12);
  expect(textOf("status", 3, body)).toBe("NORMAL #5 log entry, 12 bytes");
  expect(textOf("status", 2, body)).toBe("NORMAL #5 kind 2, 12 bytes");
  expect(textOf("dcdb", 9, body)).toBe("NORMAL #5 kind 9, 12 bytes");
});

test("a status key is shown by its name and the size of its value", () => {
  const body = Buffer.alloc(256 + 3);
  body.write("nodeip");
  expect(textOf("status", 1, body)).toBe("NORMAL #5 key nodeip, 3 bytes");
  expect(textOf("status", 1, Buffer.from("short"))).toBe("NORMAL #5 key (malformed), 5 bytes");
});
