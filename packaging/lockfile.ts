/** The entry of an installed package in package-lock.json. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BuildFailure } from "../build.ts";

export interface Locked {
  readonly version: string;
  /** `sha512-BASE64` of its archive. */
  readonly integrity?: string;
}

const { packages } = JSON.parse(
  readFileSync(join(import.meta.dir, "..", "package-lock.json"), "utf8"),
) as { readonly packages: Readonly<Record<string, Locked>> };

/** The entry of a directory such as `node_modules/citty`. */
export function lockedAt(directory: string): Locked {
  const locked = packages[directory];
  if (locked === undefined) throw new BuildFailure(`package-lock.json has no ${directory}`);
  return locked;
}
