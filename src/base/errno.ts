/**
 * Errno values as on the wire: the kernel's numbers, negated (asm-generic/errno*.h). Only this file
 * maps numbers to names. `Errno` is a number on the wire and a closed union in the types, so
 * `typeof reply === "number"` distinguishes an error from a body.
 */

/** Negative errno numbers, as in the error field of a libqb response. */
export const Errno = {
  EPERM: -1,
  ENOENT: -2,
  EINTR: -4,
  EIO: -5,
  EBADF: -9,
  EAGAIN: -11,
  ENOMEM: -12,
  EACCES: -13,
  EFAULT: -14,
  EBUSY: -16,
  EEXIST: -17,
  EXDEV: -18,
  ENODEV: -19,
  ENOTDIR: -20,
  EISDIR: -21,
  EINVAL: -22,
  ENFILE: -23,
  EMFILE: -24,
  EFBIG: -27,
  ENOSPC: -28,
  EROFS: -30,
  EPIPE: -32,
  ENAMETOOLONG: -36,
  ENOSYS: -38,
  ENOTEMPTY: -39,
  ELOOP: -40,
  ECHRNG: -44,
  EBADMSG: -74,
  EPROTO: -71,
  ENOTSOCK: -88,
  EMSGSIZE: -90,
  EADDRINUSE: -98,
  ECONNABORTED: -103,
  ECONNRESET: -104,
  ENOBUFS: -105,
  ENOTCONN: -107,
  ESHUTDOWN: -108,
  ETIMEDOUT: -110,
  ECONNREFUSED: -111,
  EALREADY: -114,
  ESTALE: -116,
} as const;

export type Errno = (typeof Errno)[keyof typeof Errno];

/** The texts of strerror(3) for the numbers above, because users search for them. */
const TEXT: Record<keyof typeof Errno, string> = {
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  EINTR: "Interrupted system call",
  EIO: "Input/output error",
  EBADF: "Bad file descriptor",
  EAGAIN: "Resource temporarily unavailable",
  ENOMEM: "Cannot allocate memory",
  EACCES: "Permission denied",
  EFAULT: "Bad address",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EXDEV: "Invalid cross-device link",
  ENODEV: "No such device",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EINVAL: "Invalid argument",
  ENFILE: "Too many open files in system",
  EMFILE: "Too many open files",
  EFBIG: "File too large",
  ENOSPC: "No space left on device",
  EROFS: "Read-only file system",
  EPIPE: "Broken pipe",
  ENAMETOOLONG: "File name too long",
  ENOSYS: "Function not implemented",
  ENOTEMPTY: "Directory not empty",
  ELOOP: "Too many levels of symbolic links",
  ECHRNG: "Channel number out of range",
  EBADMSG: "Bad message",
  EPROTO: "Protocol error",
  ENOTSOCK: "Socket operation on non-socket",
  EMSGSIZE: "Message too long",
  EADDRINUSE: "Address already in use",
  ECONNABORTED: "Software caused connection abort",
  ECONNRESET: "Connection reset by peer",
  ENOBUFS: "No buffer space available",
  ENOTCONN: "Transport endpoint is not connected",
  ESHUTDOWN: "Cannot send after transport endpoint shutdown",
  ETIMEDOUT: "Connection timed out",
  ECONNREFUSED: "Connection refused",
  EALREADY: "Operation already in progress",
  ESTALE: "Stale file handle",
};

const NAMES = new Map<number, keyof typeof Errno>(
  (Object.keys(TEXT) as (keyof typeof Errno)[]).map((name) => [Errno[name], name]),
);

/** `ENOENT` for -2; `errno 123` for a number that is not in this table. */
export function errnoName(value: number): string {
  return NAMES.get(value) ?? `errno ${Math.abs(value)}`;
}

/** `No such file or directory` for -2, as strerror(3) in a client prints it. */
export function errnoText(value: number): string {
  const name = NAMES.get(value);
  return name === undefined ? `Unknown error ${-value}` : TEXT[name];
}

/** The Errno for a name (`"ENOENT"`, as in errors of node:fs); EIO for names not listed above. */
export function errnoOf(code: string | undefined): Errno {
  return code !== undefined && code in Errno ? Errno[code as keyof typeof Errno] : Errno.EIO;
}
