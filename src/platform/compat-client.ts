/**
 * Makes the C client of `compat` (native/compat-client.c) startable. In a checkout it is a file. In
 * the compiled binary it is a memfd, reached through our /proc entry: nothing is left on a disk,
 * and children that change their user can still open it.
 */
import { closeSync, readFileSync, writeSync } from "node:fs";
import embedded from "../../dist/compat-client.elf" with { type: "file" };
import { memfd } from "./library.ts";
import { COMPILED } from "./self.ts";

/** A program to start; its path is valid until this is disposed. */
export interface EmbeddedProgram extends Disposable {
  readonly path: string;
}

/** The C client as a program. Throws if memfd_create(2) fails. */
export function compatClient(): EmbeddedProgram {
  if (!COMPILED) return { path: embedded, [Symbol.dispose]: () => {} };
  const fd = memfd("pmxcfs-ipc-compat-client");
  const bytes = readFileSync(embedded);
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
  return {
    path: `/proc/${process.pid}/fd/${fd}`,
    [Symbol.dispose]: () => closeSync(fd),
  };
}
