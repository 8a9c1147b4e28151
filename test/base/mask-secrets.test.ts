/** Which parts of a text are masked as secrets, in time proportional to its length. */
import { describe, expect, test } from "bun:test";
import { maskSecrets } from "../../src/base/mask-secrets.ts";

const MASKED: readonly (readonly [string, string])[] = [
  ["password: geheim", "password: ***"],
  ["  key = a b c", "  key = ***"],
  ["cipassword geheim", "cipassword ***"],
  [`key${" ".repeat(500)}geheim`, `key${" ".repeat(500)}***`],
  ['{"api_key": "geheim", "x": 1}', '{"api_key": "***", "x": 1}'],
  ["x my_long_name_password=geheim,size=1", "x my_long_name_password=***,size=1"],
  ["x --bind-password geheim --y", "x --bind-password *** --y"],
  ["root@pam!auto=geheim", "root@pam!auto=***"],
  ["01234567-89ab-cdef-0123-456789abcdef", "***"],
  ["at PVE:root@pam:0123ABCD::sig== end", "at PVE:root@pam:*** end"],
  ["https://user:geheim@host/x", "https://user:***@host/x"],
];

describe("secrets", () => {
  for (const [text, masked] of MASKED) {
    test(`${JSON.stringify(text.replaceAll(/ {9,}/g, " ... "))} is masked`, () => {
      expect(maskSecrets(text)).toBe(masked);
    });
  }

  test("a private key is cut, also one without an end", () => {
    const key = "-----BEGIN RSA PRIVATE KEY-----\ngeheim\n-----END RSA PRIVATE KEY-----\nafter";
    expect(maskSecrets(key)).not.toContain("geheim");
    expect(maskSecrets(key)).toContain("after");
    expect(maskSecrets("-----BEGIN PRIVATE KEY-----\ngeheim")).not.toContain("geheim");
  });
});

/** Each took from a minute to hours when a rule could begin anywhere and repeat without a bound. */
const LONG =
  'a|-|_| |\n|a@|a-|x_|a.|--a-|a@b!|PVE:|a://b:|key:"|key |-----BEGIN |-----BEGIN PRIVATE KEY-----';

test("lines of 200,000 characters take time in proportion to their length", () => {
  for (const part of LONG.split("|")) {
    const text = part.repeat(Math.ceil(200_000 / part.length));
    expect(maskSecrets(text).length).toBeGreaterThan(0);
    expect(maskSecrets(`key${text}`).length).toBeGreaterThan(0);
  }
});
