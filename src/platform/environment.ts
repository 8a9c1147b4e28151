/**
 * Environment variables that make Bun or the dynamic loader run foreign code. The binary refuses to
 * run as root if one is set. That check comes late: by then, LD_PRELOAD and BUN_OPTIONS have taken
 * effect, and with BUN_BE_BUN none of our code runs at all. So a service manager must unset them,
 * as packaging/debian/pmxcfs-ipc.service does.
 */
import { COMPILED } from "./self.ts";

const FOREIGN_CODE = [
  "BUN_OPTIONS",
  "BUN_BE_BUN",
  "BUN_INSPECT",
  "BUN_INSPECT_CONNECT_TO",
  "BUN_INSPECT_NOTIFY",
  "BUN_INSPECT_PRELOAD",
  "NODE_OPTIONS",
  "LD_PRELOAD",
  "LD_AUDIT",
] as const;

/** Why this process must not run (as root, with foreign code loaded); undefined if it may. */
export function foreignCode(
  environment: NodeJS.ProcessEnv,
  uid = process.getuid?.(),
  isCompiled = COMPILED,
): string | undefined {
  if (uid !== 0 || !isCompiled) return undefined;
  const found = FOREIGN_CODE.filter((name) => (environment[name] ?? "") !== "");
  if (found.length === 0) return undefined;
  const unset = found.map((name) => `-u ${name}`).join(" ");
  return (
    `${found.join(", ")} would run foreign code as root: ` +
    `start it without (env ${unset} pmxcfs-ipc ...)`
  );
}
