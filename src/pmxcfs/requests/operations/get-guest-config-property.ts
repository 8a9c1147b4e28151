/** GET_GUEST_CONFIG_PROPERTY: one property, any name. C: cfs_create_guest_conf_property_msg. */
import { Errno } from "../../../base/errno.ts";
import { tail } from "../../../wire/text.ts";
import { guestError, vmidOf } from "../guest-request.ts";
import { CfsIpc, GuestPropertyRequest } from "../layouts.ts";
import type { Operation } from "../operation.ts";

export const getGuestConfigProperty: Operation = {
  id: CfsIpc.GET_GUEST_CONFIG_PROPERTY,
  name: "GET_GUEST_CONFIG_PROPERTY",
  access: "read",
  minBytes: 0,
  maxBytes: Infinity,
  malformed: ({ guests }, body) => guestError(guests, vmidOf(body)) ?? Errno.EINVAL,
  run({ guests }, body) {
    const vmid = vmidOf(body);
    const error = guestError(guests, vmid);
    if (error !== undefined) return error;
    if (body.size <= GuestPropertyRequest.size) return Errno.EINVAL;
    return guests.properties(vmid, [tail(body, GuestPropertyRequest.size)]);
  },
};
