/** Parses the kernel's table of unix sockets (/proc/net/unix), and libqb's names in it. */
import { IpcLimits } from "../base/limits.ts";

/** One row of /proc/net/unix. */
export interface UnixSocket {
  readonly inode: number;
  readonly listening: boolean;
  readonly connected: boolean;
  /** As printed: an abstract name starts with `@`, and each NUL in it is printed as `@`, too. */
  readonly path: string;
}

const UNIX_ROW =
  /^[0-9a-f]+: [0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+ ([0-9a-f]+) +(\d+)(?: (.*))?$/i;

/** __SO_ACCEPTCON, the flag of a listening socket. */
const ACCEPTS = 0x10000;
/** SS_CONNECTED (linux/net.h). */
const CONNECTED = 3;

/** The rows of /proc/net/unix (unix(7)); other lines are ignored. */
export function parseUnixSockets(text: string): UnixSocket[] {
  return text.split("\n").flatMap((line) => {
    const row = UNIX_ROW.exec(line);
    if (row === null) return [];
    return {
      inode: Number(row[3]),
      listening: (Number.parseInt(row[1] ?? "0", 16) & ACCEPTS) !== 0,
      connected: Number.parseInt(row[2] ?? "0", 16) === CONNECTED,
      path: row[4] ?? "",
    };
  });
}

/**
 * libqb's address of `service` as /proc/net/unix prints it: NUL-padded to the length of sun_path.
 */
export function fullAddress(service: string): string {
  return `@${service}`.padEnd(IpcLimits.addressPathBytes, "@");
}

/** True when the printed path is the abstract name of `service`, with any padding. */
export function isAbstractName(path: string, service: string): boolean {
  return path.startsWith(`@${service}`) && /^@*$/.test(path.slice(service.length + 1));
}

/** True when the printed path is an abstract name of libqb's form, of any service. */
export function isFullAddress(path: string): boolean {
  return path.startsWith("@") && path.length === IpcLimits.addressPathBytes;
}
