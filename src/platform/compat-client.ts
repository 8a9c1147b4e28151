/**
 * Makes the C client of `compat` (native/compat-client.c) startable. In a checkout it is a file. In
 * the compiled binary it is a memfd, reached through our /proc entry: nothing is left on a disk,
 * and children that change their user can still open it.
 */
import { closeSync } from "node:fs";
import embedded from "../../dist/compat-client.elf" with { type: "file" };
import { copyToMemory } from "./library.ts";
import { COMPILED } from "./self.ts";

/** A program to start; its path is valid until this is disposed. */
export interface EmbeddedProgram extends Disposable {
  readonly path: string;
}

/** The C client as a program. Throws as `copyToMemory`. */
export function compatClient(): EmbeddedProgram {
  if (!COMPILED) return { path: embedded, [Symbol.dispose]: () => {} };
  const fd = copyToMemory("pmxcfs-ipc-compat-client", embedded);
  return {
    path: `/proc/${process.pid}/fd/${fd}`,
    [Symbol.dispose]: () => closeSync(fd),
  };
}
