/**
 * The syntax of `--inject`: `WHERE:WHAT[=VALUE],...`, as in `get-config:delay=200ms,prob=0.1`.
 * Mistakes are reported as UsageFailure, with the word that was probably meant.
 */
import { Errno } from "../base/errno.ts";
import type { FaultAction, FaultRule } from "../daemon/fault-injection.ts";
import { ANY_MOUNT_OPERATION, type MountFaultRule } from "../daemon/node/mount-faults.ts";
import { Opcode } from "../fuse/opcodes.ts";
import { REQUEST_IDS } from "../pmxcfs/requests/wording.ts";
import { UsageFailure } from "./failure.ts";
import { requestId } from "./request-words.ts";
import { suggest } from "./suggest.ts";
import { MOST_MILLISECONDS, parseMilliseconds } from "./units.ts";

const ACTIONS = ["errno", "disconnect", "silent", "busy"] as const;
const WORDS = [...ACTIONS, "delay", "prob", "seed", "uid", "gid"] as const;
const MOUNT_WORDS = ["errno", "delay", "loop", "path", "prob", "seed", "uid"] as const;
type Word = (typeof WORDS)[number] | (typeof MOUNT_WORDS)[number];

const MOST = 0xffffffff;

/** Operations of the mount, named as in linux/fuse.h, and the word for all of them. */
const MOUNT_OPERATIONS = [
  ...Object.keys(Opcode).map((name) => name.toLowerCase()),
  ANY_MOUNT_OPERATION,
];

/** A failure about a rule, which it quotes. */
function wrong(rule: string, what: string, hint?: string): UsageFailure {
  return new UsageFailure(`--inject "${rule}": ${what}`, hint);
}

function target(rule: string, word: string): FaultRule["on"] {
  if (word === "any" || word === "refuse") return word;
  const id = requestId(word);
  if (id !== undefined) return id;
  const known = [...REQUEST_IDS.keys(), "any", "refuse", ...MOUNT_OPERATIONS];
  const what = `"${word}" is not a request, any, refuse, or an operation of the mount`;
  throw wrong(rule, what, suggest(word, known));
}

/** Parses `a=1,b`; each word must be known, and may occur only once. */
function settings(rule: string, text: string, words: readonly Word[]): Map<Word, string> {
  const given = new Map<Word, string>();
  for (const piece of text.split(",").map((word) => word.trim())) {
    const [name = "", ...rest] = piece.split("=");
    if (piece === "") throw wrong(rule, "a word is missing between two commas or after the colon");
    if (!(words as readonly string[]).includes(name)) {
      throw wrong(rule, `"${name}" is not one of ${words.join(", ")}`, suggest(name, words));
    }
    if (given.has(name as Word)) throw wrong(rule, `${name} is given twice`);
    given.set(name as Word, rest.join("="));
  }
  return given;
}

function time(rule: string, name: string, word: string): number {
  const found = parseMilliseconds(word);
  if (found !== undefined && found <= MOST_MILLISECONDS) return found;
  throw wrong(rule, `${name}: "${word}" is not a time such as 200ms or 2s`);
}

function whole(rule: string, name: string, word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  if (/^\d+$/.test(word) && Number(word) <= MOST) return Number(word);
  throw wrong(rule, `${name}: "${word}" is not a whole number`);
}

function chance(rule: string, word: string | undefined): number {
  if (word === undefined) return 1;
  const found = Number(word);
  if (word !== "" && found >= 0 && found <= 1) return found;
  throw wrong(rule, `prob: "${word}" is not between 0 and 1`);
}

function errnoNamed(rule: string, word: string): Errno {
  const names = Object.keys(Errno) as (keyof typeof Errno)[];
  const name = names.find((one) => one === word.toUpperCase());
  if (name !== undefined) return Errno[name];
  throw wrong(rule, `"${word}" is not an errno`, suggest(word.toUpperCase(), names));
}

function action(rule: string, given: ReadonlyMap<Word, string>): FaultAction {
  const [kind, second] = ACTIONS.filter((name) => given.has(name));
  if (second !== undefined) throw wrong(rule, `${kind} and ${second} exclude each other`);
  const value = given.get(kind ?? "delay") ?? "";
  if (kind === undefined) return { kind: "none" };
  if (kind === "errno") return { kind, errno: errnoNamed(rule, value) };
  if (kind === "busy") return { kind, forMs: time(rule, kind, value) };
  if (value !== "") throw wrong(rule, `${kind} takes no value`);
  return { kind };
}

/** Parses one rule; `seed` is used if the rule has none. */
export function parseFaultRule(text: string, seed: number): FaultRule {
  const colon = text.indexOf(":");
  const where = colon < 0 ? text : text.slice(0, colon);
  const on = target(text, where);
  if (colon < 0) throw wrong(text, `needs what to do: ${where}:errno=EIO`);
  const given = settings(text, text.slice(colon + 1), WORDS);
  let does = action(text, given);
  if (on === "refuse") {
    const foreign = (["delay", "disconnect", "silent", "busy"] as const).find((w) => given.has(w));
    if (foreign !== undefined) throw wrong(text, `refuse takes errno, not ${foreign}`);
    if (does.kind === "none") does = { kind: "errno", errno: Errno.EPERM };
  } else if (does.kind === "none" && !given.has("delay")) {
    throw wrong(text, "needs one of delay, errno, disconnect, silent and busy");
  }
  const delay = given.get("delay");
  return {
    text,
    on,
    uid: whole(text, "uid", given.get("uid")),
    gid: whole(text, "gid", given.get("gid")),
    probability: chance(text, given.get("prob")),
    seed: whole(text, "seed", given.get("seed")) ?? seed,
    delayMs: delay === undefined ? 0 : time(text, "delay", delay),
    action: does,
  };
}

/** True for a rule about operations of the mount: `write:path=storage.cfg,errno=EIO`. */
export function isMountRule(text: string): boolean {
  return MOUNT_OPERATIONS.includes(text.split(":")[0] ?? "");
}

/** Parses one rule about the mount; `seed` is used if the rule has none. */
export function parseMountRule(text: string, seed: number): MountFaultRule {
  const colon = text.indexOf(":");
  const operation = colon < 0 ? text : text.slice(0, colon);
  if (colon < 0) throw wrong(text, `needs what to do: ${operation}:errno=EIO`);
  const given = settings(text, text.slice(colon + 1), MOUNT_WORDS);
  const errno = given.get("errno");
  const delay = given.get("delay");
  const loop = given.get("loop");
  if ((errno ?? delay ?? loop) === undefined) {
    throw wrong(text, "needs one of errno, delay and loop");
  }
  const path = given.get("path")?.replaceAll(/^\/+|\/+$/g, "");
  return {
    text,
    operation,
    path: path === undefined ? undefined : Buffer.from(path).toString("latin1"),
    uid: whole(text, "uid", given.get("uid")),
    probability: chance(text, given.get("prob")),
    seed: whole(text, "seed", given.get("seed")) ?? seed,
    delayMs: delay === undefined ? 0 : time(text, "delay", delay),
    errno: errno === undefined ? undefined : errnoNamed(text, errno),
    loopMs: loop === undefined ? 0 : time(text, "loop", loop),
  };
}
