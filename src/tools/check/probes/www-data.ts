/**
 * The same connection as the user pveproxy runs as. What root may do says little about the browser:
 * this program runs itself once more, as www-data, for two checks.
 */
import { type Finding, found, pass } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { isRecord, parseJson } from "../session.ts";

/** The worst line of a child's report; undefined when it found nothing wrong. */
function worst(report: Record<string, unknown>): string | undefined {
  const { verdict, exit_code: exitCode } = report as Partial<Record<string, unknown>>;
  if (exitCode === 0 || !isRecord(verdict)) return undefined;
  const { text, code } = verdict as Partial<Record<string, unknown>>;
  const line = typeof text === "string" ? text : "no verdict";
  return typeof code === "string" ? `${line} (${code})` : line;
}

async function ask(context: Context, self: readonly string[]): Promise<Finding> {
  const { machine, options } = context;
  const become = ["setpriv", "--reuid", "www-data", "--regid", "www-data", "--clear-groups"];
  const deadline = `${options.deadlineMs}ms`;
  const checks = ["--only", "handshake,permissions", "--deadline", deadline];
  const words = [...become, ...self, "--check", "--socket", options.service, "--json", ...checks];
  const { out, error, timedOut } = await machine.run(words, context.left());
  const report = parseJson(Buffer.from(out));
  if (!isRecord(report)) {
    const why = error.trim().split("\n")[0] ?? "";
    const what = timedOut ? "no answer in time" : `the check did not run (${why})`;
    return found("WWW_DATA_FAILS", { what }, { severity: timedOut ? "fail" : "notice" });
  }
  const bad = worst(report);
  if (bad !== undefined) return found("WWW_DATA_FAILS", { what: bad });
  return pass("permissions", "www-data, the user of pveproxy, connects and is read-only");
}

/** The child connects, and asks twice. */
const OPERATIONS = 4;

export const wwwDataProbe: Probe = {
  check: "permissions",
  operations: OPERATIONS,
  async run(context) {
    const { machine, facts, session } = context;
    const { uid } = await facts.identity();
    const known = (await facts.group("www-data")) !== undefined && machine.has("setpriv");
    if (uid !== 0 || !known || machine.self === undefined) return [];
    if (!(await session.ready(context.left()))) return [];
    return [await ask(context, machine.self)];
  },
};
