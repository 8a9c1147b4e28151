/**
 * The result of a probe: findings, one line each, with measured values. `found` fills a code's
 * templates; the compiler checks that no value is missing. Values come from the machine (names of
 * processes, files of other users), so they are escaped for terminals, and quoted in commands to
 * paste.
 */
import { escapeText } from "../../base/escape.ts";
import { type CheckName, numbered, type Severity } from "../diagnosis/code.ts";
import { type CodeName, type CodeValues, rowOf } from "../diagnosis/codes.ts";

/** A measured number; `unit` is a base unit (`s`, `bytes`, `percent`, or nothing for a count). */
export interface Measure {
  /** Snake case, unique in a report (with its request): a metric's name without its prefix. */
  readonly name: string;
  readonly value: number;
  readonly unit: "s" | "bytes" | "percent" | "";
  /** A value at or beyond it is a finding. */
  readonly limit?: number;
  /** The limit is a lower one. */
  readonly low?: boolean;
  /** The request it was measured on, where there is one measure per request. */
  readonly request?: string;
}

export interface Finding {
  readonly check: CheckName;
  readonly severity: Severity;
  /** Absent on PASS and SKIP. */
  readonly code?: CodeName;
  /** One line. */
  readonly text: string;
  readonly cause?: string;
  /** A command to paste, without control characters. */
  readonly fix?: string;
  /** What to do, or to look at, by hand. */
  readonly advice?: string;
  /** The codes that may explain this one, if not those of EFFECTS. */
  readonly causes?: readonly CodeName[];
  /** The finding that explains this one, and has the fix. */
  readonly followsFrom?: CodeName;
  readonly measures: readonly Measure[];
  /** Further lines: log lines, processes. */
  readonly details: readonly string[];
}

interface Extra {
  readonly measures?: readonly Measure[];
  readonly details?: readonly string[];
  /** Instead of the code's own. */
  readonly severity?: "notice" | "warn" | "fail";
  /** Instead of the filled template; null: here no command is safe. */
  readonly fix?: string | null;
  /** Instead of the code's own. */
  readonly advice?: string;
  /** Instead of the code's own in EFFECTS. */
  readonly causes?: readonly CodeName[];
}

/** Control characters escaped: the name that a peer gave itself must not control the terminal. */
function clean(text: string): string {
  return escapeText(text);
}

/** As one word of a shell command. */
export function shellQuote(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fill(
  template: string,
  values: Readonly<Record<string, string | number>>,
  quote: (text: string) => string,
): string {
  return numbered(template, values).replaceAll(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    const text = clean(String(value));
    // A command line made here, whose words are quoted already.
    return name === "call" ? text : quote(text);
  });
}

function asIs(text: string): string {
  return text;
}

/** A finding of `code`, its templates filled from `values`. */
export function found<C extends CodeName>(
  code: C,
  values: CodeValues<C>,
  extra: Extra = {},
): Finding {
  const row = rowOf(code);
  const template = row.fix === undefined ? undefined : fill(row.fix, values, shellQuote);
  const command = extra.fix === null ? undefined : (extra.fix ?? template);
  // Escaped, a command would name other files than it is meant for.
  const fix = command === undefined || clean(command) !== command ? undefined : command;
  const advice = extra.advice ?? row.advice;
  return {
    check: row.check,
    severity: extra.severity ?? row.severity,
    code,
    text: fill(row.line, values, asIs),
    cause: fill(row.cause, values, asIs),
    ...(fix === undefined ? {} : { fix }),
    ...(advice === undefined ? {} : { advice: fill(advice, values, shellQuote) }),
    ...(extra.causes === undefined ? {} : { causes: extra.causes }),
    measures: extra.measures ?? [],
    details: (extra.details ?? []).map(clean),
  };
}

/** Checked, and right. */
export function pass(
  check: CheckName,
  text: string,
  measures: readonly Measure[] = [],
  details: readonly string[] = [],
): Finding {
  return { check, severity: "pass", text: clean(text), measures, details: details.map(clean) };
}

/** Not checked, and why. */
export function skip(check: CheckName, reason: string): Finding {
  return { check, severity: "skip", text: clean(reason), measures: [], details: [] };
}
