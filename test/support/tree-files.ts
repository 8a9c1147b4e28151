/** The golden tree as a directory, for `serve --dir` and `config import`. */
import { mkdirSync, writeFileSync } from "node:fs";
import type { TreeEntry } from "./vectors.ts";

/** Writes `entries` below `root`, in their order. Paths are latin1 text, written as those bytes. */
export function writeTree(root: string, entries: readonly TreeEntry[]): void {
  for (const { path, content } of entries) {
    const name = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
    if (content === undefined) mkdirSync(name, { recursive: true });
    else writeFileSync(name, content);
  }
}
