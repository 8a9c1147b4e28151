/** GET_GUEST_CONFIG_PROPERTY: one property, any name. C: cfs_create_guest_conf_property_msg. */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc, GuestPropertyRequest } from "../layouts.ts";
import { tail } from "../../../wire/text.ts";
import { isReservedVmid, malformedProperties } from "../guest-request.ts";
import type { Operation } from "../operation.ts";

const { vmid } = GuestPropertyRequest.read;

export const getGuestConfigProperty: Operation = {
  id: CfsIpc.GET_GUEST_CONFIG_PROPERTY,
  name: "GET_GUEST_CONFIG_PROPERTY",
  access: "read",
  minBytes: GuestPropertyRequest.size,
  maxBytes: Infinity,
  run({ guests }, body) {
    const guest = vmid(body);
    if (isReservedVmid(guest)) return Errno.EINVAL;
    if (body.size === GuestPropertyRequest.size) return malformedProperties(guests, guest);
    return guests.properties(guest, [tail(body, GuestPropertyRequest.size)]);
  },
};
