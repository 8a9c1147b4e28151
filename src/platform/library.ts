/**
 * Makes the shim loadable by dlopen(3): in a checkout it is a file; in the compiled binary it is
 * copied to a memfd, because a dlopen of an embedded file leaves a copy in /tmp.
 */
import { dlopen } from "bun:ffi";
import { closeSync, readFileSync, writeSync } from "node:fs";
import embedded from "../../dist/shim.so" with { type: "file" };
import { COMPILED } from "./self.ts";

/** MFD_CLOEXEC (memfd_create(2)). */
const MFD_CLOEXEC = 1;

/**
 * Copies a file to memory (memfd_create(2)); the caller closes the descriptor, which is closed on
 * exec. `name` is shown in /proc. Throws if a system call fails.
 */
export function copyToMemory(name: string, file: string): number {
  const libc = dlopen("libc.so.6", {
    memfd_create: { args: ["cstring", "u32"], returns: "i32" },
  });
  const fd = libc.symbols.memfd_create(Buffer.from(`${name}\0`), MFD_CLOEXEC);
  libc.close();
  if (fd < 0) throw new Error(`memfd_create failed: ${name} cannot be loaded`);
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
  return fd;
}

/** Calls `load` with a path of the shim, which is valid only during the call. */
export function withShimPath<T>(load: (path: string) => T): T {
  if (!COMPILED) return load(embedded);
  const fd = copyToMemory("pmxcfs-ipc-shim", embedded);
  try {
    return load(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}
