/** The golden tree on disk: a plain directory as `serve --dir` and `config import` take it. */
import { mkdirSync, writeFileSync } from "node:fs";
import type { TreeEntry } from "./vectors.ts";

/** Writes `entries` below `root`, in their order. Names are bytes: latin1 in, bytes out. */
export function writeTree(root: string, entries: readonly TreeEntry[]): void {
  for (const { path, content } of entries) {
    const name = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, "latin1")]);
    if (content === undefined) mkdirSync(name, { recursive: true });
    else writeFileSync(name, content);
  }
}
