/**
 * Each function that prints the text of a peer gets all of Unicode: its output has no character
 * that controls a terminal, reorders text or breaks a line, and its JSON parses to the input.
 */
import { describe, expect, test } from "bun:test";
import { createLog, type LogFormat } from "../../src/base/log.ts";
import { escapeLines, escapeText, jsonText } from "../../src/base/escape.ts";
import { bodyOf } from "../../src/pmxcfs/requests/encoding.ts";
import { getConfig } from "../../src/pmxcfs/requests/rows/get-config.ts";
import { getClusterInfo } from "../../src/pmxcfs/requests/rows/get-cluster-info.ts";
import { getClusterLog } from "../../src/pmxcfs/requests/rows/get-cluster-log.ts";
import { getFsVersion } from "../../src/pmxcfs/requests/rows/get-fs-version.ts";
import { getGuestConfigProperty } from "../../src/pmxcfs/requests/rows/guest-properties.ts";
import { getGuestList } from "../../src/pmxcfs/requests/rows/get-guest-list.ts";
import { getRrdDump } from "../../src/pmxcfs/requests/rows/get-rrd-dump.ts";
import { unifiedDiff } from "../../src/tools/history/diff.ts";
import { requestLine } from "../../src/tools/trace/recording.ts";
import { exchangeJson, exchangeText } from "../../src/tools/trace/show.ts";

/** All code points but NUL, surrogates included, in pieces of 4096. */
function* unicode(): Generator<string> {
  for (let from = 0; from <= 0x10_ffff; from += 0x1000) {
    const codes = Array.from({ length: 0x1000 }, (_, at) => from + at).filter((code) => code > 0);
    yield codes.map((code) => String.fromCodePoint(code)).join("");
  }
}

const ALL = [...unicode()];

/** True for a code point that must not be printed, except as a line's own end. */
function forbidden(code: number): boolean {
  const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const isBidi =
    (code >= 0x202a && code <= 0x202e) ||
    (code >= 0x2066 && code <= 0x2069) ||
    [0x061c, 0x200e, 0x200f].includes(code);
  return isControl || isBidi || code === 0x2028 || code === 0x2029;
}

/** The forbidden code points in `text`; `\n` may end it and, with `hasLines`, be anywhere in it. */
function forbiddenIn(text: string, hasLines = false): number[] {
  const body = text.endsWith("\n") ? text.slice(0, -1) : text;
  const allowed = hasLines ? ["\n", "\t"] : [];
  return Array.from(body)
    .filter((character) => !allowed.includes(character))
    .map((character) => character.codePointAt(0) ?? 0)
    .filter(forbidden);
}

const PEER = { pid: 1, uid: 33, gid: 33, permissions: "read-only" } as const;

function exchanged(path: string, reason: string) {
  return {
    atMs: 0,
    connection: 1,
    caller: PEER,
    id: getConfig.id,
    body: bodyOf(getConfig, { path }),
    error: undefined,
    replyBytes: 0,
    reply: Buffer.from(path),
    why: reason,
    latencyUs: 1,
    malformed: false,
    refusedHere: false,
  };
}

interface Printer {
  readonly out: (text: string) => string;
  /** The output has several lines. */
  readonly hasLines?: boolean;
}

/** The printers of a peer's text, by name. */
const PRINTERS: Readonly<Record<string, Printer>> = {
  escapeText: { out: escapeText },
  jsonText: { out: (text) => jsonText({ [text]: text }) },
  "the plain log": { out: (text) => logged("plain", text) },
  "the journal log": { out: (text) => logged("journal", text) },
  "the JSON log": { out: (text) => logged("json", text) },
  trace: { out: (text) => exchangeText(exchanged(text, text)) },
  "trace, JSON": { out: (text) => exchangeJson(exchanged(text, text)) },
  recording: { out: (text) => requestLine(exchanged(text, text), true) },
  "call get-cluster-info": {
    out: (text) =>
      String(
        getClusterInfo.answer.text({
          nodename: text,
          version: 1,
          cluster: { name: text, version: 1, nodes: 1, quorate: 1 },
          nodelist: { [text]: { id: 1, online: 1, ip: text } },
        }),
      ),
    hasLines: true,
  },
  "call get-cluster-log": {
    out: (text) => {
      const entry = { uid: 1, time: 1, pri: 6, pid: 1, tag: text, node: text, user: text };
      return String(getClusterLog.answer.text([{ ...entry, msg: text }]));
    },
  },
  "call get-fs-version": {
    out: (text) => {
      const counters = { starttime: 1, clinfo: 1, vmlist: 1, files: { [text]: 1 } };
      return String(getFsVersion.answer.text({ ...counters, kvstore: { [text]: { [text]: 1 } } }));
    },
    hasLines: true,
  },
  "call get-guest-list": {
    out: (text) => {
      const ids = { [text]: { node: text, type: text, version: 1 } };
      return String(getGuestList.answer.text({ version: 1, ids }));
    },
    hasLines: true,
  },
  "call get-guest-config-property": {
    out: (text) => String(getGuestConfigProperty.answer.text({ [text]: { [text]: text } })),
    hasLines: true,
  },
  "call get-rrd-dump": { out: (text) => String(getRrdDump.answer.text(new Map([[text, [text]]]))) },
};

function logged(format: LogFormat, text: string): string {
  let line = "";
  createLog({ level: "info", format, write: (piece) => (line += piece) })
    .tagged("peer")
    .info(text);
  return line;
}

describe.each(Object.entries(PRINTERS))("%s", (_, { out, hasLines = false }) => {
  test("prints no forbidden character", () => {
    for (const text of ALL) expect(forbiddenIn(out(text), hasLines)).toEqual([]);
  });

  test("prints a text with line ends in as many lines as one without", () => {
    const [broken = [], whole = []] = ["a\nb\r\nc\u2028d\u0085e", "a"].map((text) => {
      return out(text).split("\n");
    });
    expect(broken).toHaveLength(whole.length);
  });

  test("prints the text", () => {
    // As base64 in a recording.
    expect(out("harmless")).toMatch(/harmless|aGFybWxlc3/);
  });
});

test("escapeLines prints no forbidden character besides line ends and tabs", () => {
  for (const text of ALL) expect(forbiddenIn(escapeLines(text), true)).toEqual([]);
});

test("a diff of two files has no forbidden character", () => {
  for (const text of ALL) {
    const before = { label: "x", bytes: Buffer.from("a\n") };
    const after = { label: "x", bytes: Buffer.from(text) };
    const diff = unifiedDiff(before, after, true);
    expect(diff).toContain("\n-a\n");
    expect(forbiddenIn(diff, true)).toEqual([]);
  }
});

test("text without control characters is unchanged, in any script", () => {
  const text = 'Grüße, 你好, שלום, 🙂👨‍👩‍👧, a\\b "c"';
  expect(escapeText(text)).toBe(text);
  expect(escapeLines(`${text}\n\t${text}`)).toBe(`${text}\n\t${text}`);
});

test("a control character is printed as its escape sequence", () => {
  expect(escapeText("a\nb\x1b[31m\x7f\u009b\u202e\ud800")).toBe(
    String.raw`a\nb\x1b[31m\x7f\x9b\u202e\ud800`,
  );
});

test("jsonText prints JSON that parses to the same value", () => {
  for (const text of ALL) {
    const value = { [text]: [text, 1, null] };
    expect(JSON.parse(jsonText(value))).toEqual(value);
    expect(JSON.parse(jsonText(value, 2))).toEqual(value);
  }
});
