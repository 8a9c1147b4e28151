/**
 * The C client of `compat` (native/compat-client.c) as a program that can be started: a file in a
 * checkout; in the compiled binary a memfd, reached through our /proc entry, so that nothing is
 * left on a disk and children that become another user get at it all the same.
 */
import { closeSync, readFileSync, writeSync } from "node:fs";
import embedded from "../../dist/compat-client.elf" with { type: "file" };
import { memfd } from "./library.ts";
import { COMPILED } from "./self.ts";

/** The program; its path is good until this is disposed of. */
export interface EmbeddedProgram extends Disposable {
  readonly path: string;
}

/** Makes the C client startable. Throws where memfd_create(2) fails. */
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
