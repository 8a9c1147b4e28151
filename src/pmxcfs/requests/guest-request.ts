/**
 * What the two guest property requests have in common: the checks of the vmid, and their order.
 * C counterpart: server.c.
 */
import { Errno } from "../../base/errno.ts";
import type { GuestIndex } from "./operation.ts";

/** Guests are numbered from here; 0 asks for all of them. */
const FIRST_VMID = 100;

/** 1 to 99: no guest can be asked for under these, whatever files there are. */
export function isReservedVmid(vmid: number): boolean {
  return vmid > 0 && vmid < FIRST_VMID;
}

/** The errno of a request whose property names are malformed: that the guest is unknown is told
 *  first. */
export function malformedProperties(guests: GuestIndex, vmid: number): Errno {
  if (vmid === 0) return Errno.EINVAL;
  return guests.properties(vmid, []) === Errno.ENOENT ? Errno.ENOENT : Errno.EINVAL;
}
