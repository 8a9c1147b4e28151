/** Environment variables that run foreign code: refused by the compiled binary run as root only. */
import { expect, test } from "bun:test";
import { foreignCode } from "../../src/platform/environment.ts";

const ROOT = 0;

test.each(["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "LD_PRELOAD", "NODE_OPTIONS"])(
  "%s is refused for root's binary, and the refusal names it",
  (name) => {
    const environment = { [name]: "x", PATH: "/bin" };
    expect(foreignCode(environment, ROOT, true)).toContain(`env -u ${name} pmxcfs-ipc`);
    expect(foreignCode(environment, 1000, true)).toBeUndefined();
    expect(foreignCode(environment, ROOT, false)).toBeUndefined();
  },
);

test("an empty or missing variable is not refused", () => {
  expect(foreignCode({ LD_PRELOAD: "" }, ROOT, true)).toBeUndefined();
  expect(foreignCode({ PATH: "/bin" }, ROOT, true)).toBeUndefined();
});
