/** The parts of a text that maskSecrets masks; its time is proportional to the text's length. */
import { describe, expect, test } from "bun:test";
import { maskSecrets } from "../../src/base/mask-secrets.ts";

const MASKED: readonly (readonly [string, string])[] = [
  ["password: geheim", "password: ***"],
  ["  key = a b c", "  key = ***"],
  ["cipassword geheim", "cipassword ***"],
  ["openid: x\n\tclient-id y\n\tclient-key geheim", "openid: x\n\tclient-id y\n\tclient-key ***"],
  [`key${" ".repeat(500)}geheim`, `key${" ".repeat(500)}***`],
  ['{"api_key": "geheim", "x": 1}', '{"api_key": "***", "x": 1}'],
  ["x my_long_name_password=geheim,size=1", "x my_long_name_password=***,size=1"],
  ["x --bind-password geheim --y", "x --bind-password *** --y"],
  ["root@pam!auto=geheim", "root@pam!auto=***"],
  ["01234567-89ab-cdef-0123-456789abcdef", "***"],
  ["at PVE:root@pam:0123ABCD::sig== end", "at PVE:root@pam:*** end"],
  ["https://user:geheim@host/x", "https://user:***@host/x"],
  ["x: password='geheim', y='1'", "x: password='***', y='1'"],
  ["{'password': 'geheim geheim', 'x': 'y'}", "{'password': '***', 'x': 'y'}"],
  ["'password' => 'geheim',", "'password' => '***',"],
  [String.raw`x password="a\"geheim", y`, 'x password="***", y'],
  [
    String.raw`{"a":"{\"password\":\"geheim\",\"x\":1}"}`,
    String.raw`{"a":"{\"password\":\"***\",\"x\":1}"}`,
  ],
  ["x password='geheim geheim", "x password='***"],
  ['x password="geheim geheim', 'x password="***'],
  ['x password="geheim\ngeheim" y', 'x password="***" y'],
  ['{"accessToken": "geheim"}', '{"accessToken": "***"}'],
  ["x CSRFPreventionToken: geheim", "x CSRFPreventionToken: ***"],
  ["x Authorization: Bearer geheim", "x Authorization: ***"],
  ["curl -H 'Authorization: Basic geheim' x", "curl -H 'Authorization: ***' x"],
  ["x Bearer geheim.geheim", "x Bearer ***"],
  ["x --password 'a geheim' --y", "x --password *** --y"],
  ["//nas/x user=a,pass=geheim,rw", "//nas/x user=a,pass=***,rw"],
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

/** Repeated, each took a minute to hours with rules that could begin at any character. */
const LONG =
  'a|-|_| |\n|a@|a-|x_|a.|--a-|a@b!|PVE:|a://b:|key:"|key |-----BEGIN ' +
  "|-----BEGIN PRIVATE KEY-----" +
  String.raw`|key='|key=\"|key="\"|key='\|key=\\|key=>|token|Bearer ` +
  String.raw`|authorization:|\|--key '|--key "`;

test("a secret after 200,000 characters is masked within the time limit of a test", () => {
  for (const part of LONG.split("|")) {
    const text = part.repeat(Math.ceil(200_000 / part.length));
    expect(maskSecrets(`${text}\npassword: geheim`)).not.toContain("geheim");
    expect(maskSecrets(`key${text}\npassword: geheim`)).not.toContain("geheim");
  }
});
