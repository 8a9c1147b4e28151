/**
 * The guest of the two property requests: its number is read and judged before anything else of the
 * body, however short the body is. C counterpart: server.c, which reads zeros behind a short one.
 */
import { Errno } from "../../base/errno.ts";
import type { Span } from "../../wire/struct.ts";
import type { GuestIndex } from "./operation.ts";

/** Guests are numbered from here; 0 asks for all of them. */
const FIRST_VMID = 100;

/** The u32 at the body's start; what the message does not have of it is 0. */
export function vmidOf({ bytes, at }: Span): number {
  const byte = (offset: number) => bytes[at + offset] ?? 0;
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}

/** Why this guest cannot be asked for: EINVAL for 1 to 99, ENOENT for one that does not exist. */
export function guestError(guests: GuestIndex, vmid: number): Errno | undefined {
  if (vmid === 0) return undefined;
  if (vmid < FIRST_VMID) return Errno.EINVAL;
  return guests.has(vmid) ? undefined : Errno.ENOENT;
}
