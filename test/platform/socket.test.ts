/** The addresses of setup sockets. */
import { expect, test } from "bun:test";
import { maxNameBytes } from "../../src/platform/socket.ts";

test("a name of the greatest length fits into the 108 bytes of sun_path with its NUL", () => {
  expect(maxNameBytes(false) + "\0".length).toBe(108);
  expect("/run/".length + maxNameBytes(true) + "\0".length).toBe(108);
});
