/**
 * Corosync's result codes (corosync/corotypes.h, cs_error_t). 1 is success; they are not errnos.
 * libqb's errnos are mapped to them as in corosync's own libraries.
 */
import { Errno } from "../base/errno.ts";

/** Results of corosync's calls (cs_error_t). */
export const CsError = {
  OK: 1,
  /** There is no connection to corosync, or it was lost. */
  LIBRARY: 2,
  VERSION: 3,
  TIMEOUT: 5,
  /** Overloaded, or the membership is changing: try again. */
  TRY_AGAIN: 6,
  INVALID_PARAM: 7,
  NO_MEMORY: 8,
  BAD_HANDLE: 9,
  BUSY: 10,
  ACCESS: 11,
  NOT_EXIST: 12,
  NAME_TOO_LONG: 13,
  EXIST: 14,
  NO_SPACE: 15,
  INTERRUPT: 16,
  NO_RESOURCES: 18,
  NOT_SUPPORTED: 19,
  FAILED_OPERATION: 21,
  MESSAGE_ERROR: 22,
  TOO_BIG: 26,
  NO_SECTIONS: 27,
} as const;

export type CsError = (typeof CsError)[keyof typeof CsError];

const NAMES = new Map<number, string>(
  Object.entries(CsError).map(([name, value]) => [value, `CS_ERR_${name}`]),
);
NAMES.set(CsError.OK, "CS_OK");

/** `CS_ERR_TRY_AGAIN`, as corosync's tools and pmxcfs's log write it. */
export function csErrorName(error: number): string {
  return NAMES.get(error) ?? `cs_error_t ${error}`;
}

/** A number from the wire as a CsError; MESSAGE_ERROR for one that corosync does not define. */
export function csErrorOf(value: number): CsError {
  return NAMES.has(value) ? (value as CsError) : CsError.MESSAGE_ERROR;
}

const FROM_ERRNO = new Map<number, CsError>([
  [Errno.EAGAIN, CsError.TRY_AGAIN],
  [Errno.ETIMEDOUT, CsError.TRY_AGAIN],
  [Errno.ENOBUFS, CsError.TRY_AGAIN],
  [-42, CsError.TRY_AGAIN], // ENOMSG
  [Errno.EBADF, CsError.BAD_HANDLE],
  [Errno.ENOMEM, CsError.NO_MEMORY],
  [Errno.EINVAL, CsError.INVALID_PARAM],
  [Errno.EBUSY, CsError.BUSY],
  [Errno.EACCES, CsError.ACCESS],
  [Errno.ENOENT, CsError.NOT_EXIST],
  [Errno.ENODEV, CsError.NOT_EXIST],
  [Errno.EEXIST, CsError.EXIST],
  [Errno.ENOSPC, CsError.NO_SPACE],
  [Errno.EINTR, CsError.INTERRUPT],
  [Errno.ENOSYS, CsError.NOT_SUPPORTED],
  [-95, CsError.NOT_SUPPORTED], // ENOTSUP
  [Errno.EBADMSG, CsError.MESSAGE_ERROR],
  [Errno.EMSGSIZE, CsError.TOO_BIG],
  [-7, CsError.TOO_BIG], // E2BIG
]);

/** The code of a failed libqb call (qb_to_cs_error); LIBRARY for errnos not in the table. */
export function csErrorOfErrno(errno: number): CsError {
  return FROM_ERRNO.get(errno) ?? CsError.LIBRARY;
}

/** Why a service could not be reached, or its connection ended. */
export class CsFailure {
  readonly error: CsError;
  /** One line for the log. */
  readonly message: string;

  constructor(error: CsError, message: string) {
    this.error = error;
    this.message = message;
  }

  /** `CS_ERR_LIBRARY: no process listens on @cpg`. */
  toString(): string {
    return `${csErrorName(this.error)}: ${this.message}`;
  }
}
