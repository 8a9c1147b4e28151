/**
 * INIT: from the features that the kernel offers, this server takes those that libfuse 2.9 takes
 * for pmxcfs, and some more that are safe. Each WRITE makes a version, so max_write stays 128 KiB,
 * and the writeback cache and larger requests (max_pages) are never taken.
 */
import { Errno } from "../base/errno.ts";
import { MountLimits } from "../base/limits.ts";
import type { Answer } from "./answer.ts";
import { InitIn, InitOut } from "./layouts.ts";
import { FIRST_LONG_INIT_MINOR, FUSE_VERSION, InitFlag, InitFlag2 } from "./opcodes.ts";
import type { Span } from "../wire/struct.ts";

/** Bytes of one WRITE at most. */
const MAX_WRITE_BYTES = 128 * 1024;

/**
 * The largest request: a whole WRITE, and 4096 bytes for its headers, which the kernel requires.
 */
export const REQUEST_BYTES = 4096 + MAX_WRITE_BYTES;

/** Bytes of fuse_init_in without `flags2`; a shorter one is EINVAL. */
const SHORT_INIT_IN = 16;
/** Bytes of fuse_init_out for protocol versions before 7.23. */
const SHORT_INIT_OUT = 24;

const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.EXPORT_SUPPORT |
  InitFlag.BIG_WRITES |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.INIT_EXT;
const WANTED2 = InitFlag2.HAS_RESEND | InitFlag2.REQUEST_TIMEOUT;

/** The result of the negotiation. */
export interface Negotiated {
  readonly minor: number;
  /** The kernel obeys NOTIFY_RESEND: after a take-over it sends unanswered requests again. */
  readonly canResend: boolean;
  /** The kernel aborts the connection when a request is unanswered for longer; 0: it does not. */
  readonly requestTimeoutSeconds: number;
}

/**
 * Answers INIT. "again": the kernel's major version is above 7, and it will send INIT again with 7.
 * EPROTO: it is below 7. EINVAL: the request is too short.
 */
export function negotiate(
  body: Span,
  answer: Answer,
  requestTimeoutSeconds: number,
): Negotiated | "again" | Errno {
  if (body.size < SHORT_INIT_IN) return Errno.EINVAL;
  const { read } = InitIn;
  const major = read.major(body);
  if (major < FUSE_VERSION.major) return Errno.EPROTO;
  const minor = Math.min(read.minor(body), FUSE_VERSION.minor);
  const isShort = minor < FIRST_LONG_INIT_MINOR;
  const out = answer.fill(isShort ? SHORT_INIT_OUT : InitOut.size);
  const { write } = InitOut;
  write.major(out, FUSE_VERSION.major);
  write.minor(out, minor);
  if (major > FUSE_VERSION.major) return "again";
  const offered = read.flags(body);
  const hasFlags2 = (offered & InitFlag.INIT_EXT) !== 0 && body.size >= InitIn.size;
  const flags2 = hasFlags2 ? read.flags2(body) & WANTED2 : 0;
  const times = requestTimeoutSeconds > 0 && (flags2 & InitFlag2.REQUEST_TIMEOUT) !== 0;
  const { mostRequestTimeoutSeconds: most } = MountLimits;
  const seconds = times ? Math.min(requestTimeoutSeconds, most) : 0;
  const taken2 = times ? flags2 : flags2 & ~InitFlag2.REQUEST_TIMEOUT;
  write.maxReadahead(out, read.maxReadahead(body));
  write.flags(out, offered & WANTED);
  write.maxWrite(out, MAX_WRITE_BYTES);
  if (isShort) return { minor, canResend: false, requestTimeoutSeconds: 0 };
  write.timeGranularity(out, 1);
  write.flags2(out, taken2);
  write.requestTimeout(out, seconds);
  return {
    minor,
    canResend: (taken2 & InitFlag2.HAS_RESEND) !== 0,
    requestTimeoutSeconds: seconds,
  };
}
