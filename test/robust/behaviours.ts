/**
 * The behaviours of test/native/qb-attack.c and their required outcomes. What holds for all of them
 * (the server stays alive, serves others quickly, leaks nothing) is checked by run.ts.
 */
import type { Identity } from "../support/identity.ts";
import { native } from "../support/native.ts";

export interface Behaviour {
  readonly group: string;
  readonly name: string;
}

/** The table, listed by the C program. */
export function behaviours(): Behaviour[] {
  const listed = Bun.spawnSync([native("qb-attack"), "--list"]);
  const lines = listed.stdout.toString().trim().split("\n");
  return lines.map((line) => JSON.parse(line) as Behaviour);
}

/** Timeout of a behaviour; the longest takes 1.5 s. */
const DEADLINE_MS = 40_000;

/** Runs one behaviour; returns its outcome as text. Throws if the client itself fails. */
export async function misbehave(
  service: string,
  { group, name }: Behaviour,
  { uid, gid }: Identity,
  serverPid: number,
): Promise<string> {
  const who = process.getuid?.() === 0 ? ["--uid", String(uid), "--gid", String(gid)] : [];
  const rings = ["--shm", `/dev/shm/qb-${serverPid}-`];
  const child = Bun.spawn([native("qb-attack"), service, group, name, ...who, ...rings], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  const [text, complaint] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`${group}, ${name}: ${complaint || "hung"}`);
  return (JSON.parse(text) as { did: string }).did;
}

/** Required outcomes of some behaviours, by `group: name`, on an echo server that accepts them. */
const VERDICTS: readonly (readonly [RegExp, RegExp])[] = [
  [/^chunks: (chunk size (?!RING)|magic)/, /^disconnected it$/],
  [/^truncation: request header cut to .* then/, /^disconnected it$/],
  [
    /^truncation: (request|response) data cut (in the middle|within|to a page|before)/,
    /^disconnected it$/,
  ],
  [/^message header: header size (0|1|15|-1|INT_MIN|INT_MAX|117|LARGER)$/, /^answered Invalid/],
  [/^message header: id -3$/, /^disconnected it$/],
  [/^message header: id (?!-3)/, /^answered 0$/],
  [/^semaphores: request: (1|huge)/, /^disconnected it$/],
  [/^notify bytes: 1 for 100 messages$/, /^answered 100 of 100$/],
  [/^notify bytes: .* without a message$/, /served the next request$/],
  [/^notify bytes: carrying descriptors$/, /(served the next request|which passed descriptors)$/],
  [/^slow clients: one that shuts down its reading end$/, /^served 100 of 100$/],
  [/^handshake: reading end shut down before it$/, /^closed it$/],
  [/^handshake: (id|random)/, /^closed/],
  [/^handshake: .* after it$/, /^accepted it$/],
  [/^requested sizes: [01]$/, /^accepted 1 with 12328 bytes/],
  [/^requested sizes: (200|1 GiB|0x)/, /^refused \d+: Message too long$/],
  [/^requested sizes: 16 MiB/, /^accepted 100 of 100$/],
  [/^files: (?!ready)/, /^served it; 3 of 3 foreign files are there, none of its own was left$/],
  [/^header fields: paths/, /^served it, and followed no path$/],
];

/** The required outcome of a behaviour; undefined if any is correct. */
export function verdictOf({ group, name }: Behaviour): RegExp | undefined {
  return VERDICTS.find(([which]) => which.test(`${group}: ${name}`))?.[1];
}

/** Patterns of the table that match no row: a row that was renamed would pass with any outcome. */
export function unusedVerdicts(rows: readonly Behaviour[]): RegExp[] {
  return VERDICTS.map(([which]) => which).filter(
    (which) => !rows.some(({ group, name }) => which.test(`${group}: ${name}`)),
  );
}

/**
 * Connects may fail while an attacker with the server's rights removes rings or fills its queue;
 * and, for clients with the attacker's uid, while the attacker holds all of that uid's connections.
 */
export function mayFailToConnect({ group, name }: Behaviour, sameUid: boolean): boolean {
  if (group === "files") return name.startsWith("ready");
  return name.endsWith("at full speed") || (sameUid && / connections( each)?$/.test(name));
}
