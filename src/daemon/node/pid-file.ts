/** The pid file that systemd and recipes read: written atomically, removed at the end. */
import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { errorText } from "../../base/error-text.ts";

/** Writes it, 0644; a line that says why that failed. */
export function writePidFile(path: string, pid: number): string | undefined {
  const draft = `${path}.tmp.${process.pid}`;
  try {
    writeFileSync(draft, `${pid}\n`, { mode: 0o644 });
    chmodSync(draft, 0o644);
    renameSync(draft, path);
    return undefined;
  } catch (error) {
    rmSync(draft, { force: true });
    return `unable to write pid file ${path}: ${errorText(error)}`;
  }
}

/** Removes it; a missing file is no error. Throws what unlink(2) says. */
export function removePidFile(path: string): void {
  rmSync(path, { force: true });
}
