/** GET_GUEST_CONFIG_PROPERTIES: several at once. C: cfs_create_guest_conf_properties_msg. */
import { Errno } from "../../../base/errno.ts";
import { CfsIpc, GuestPropertiesRequest } from "../layouts.ts";
import type { Span } from "../../../wire/struct.ts";
import { textList } from "../../../wire/text.ts";
import { isReservedVmid, malformedProperties } from "../guest-request.ts";
import type { Operation } from "../operation.ts";

const { vmid, count } = GuestPropertiesRequest.read;

export const getGuestConfigProperties: Operation = {
  id: CfsIpc.GET_GUEST_CONFIG_PROPERTIES,
  name: "GET_GUEST_CONFIG_PROPERTIES",
  access: "read",
  minBytes: GuestPropertiesRequest.size,
  maxBytes: Infinity,
  run({ guests }, body) {
    const guest = vmid(body);
    if (isReservedVmid(guest)) return Errno.EINVAL;
    const names = propertyNames(body);
    if (names === undefined) return malformedProperties(guests, guest);
    return guests.properties(guest, names);
  },
};

/** The names asked for; undefined unless there is at least one and each begins with a to z. */
function propertyNames(body: Span): string[] | undefined {
  const expected = count(body);
  if (expected === 0) return undefined;
  const names = textList(body, GuestPropertiesRequest.size, expected);
  return names?.every((name) => /^[a-z]/.test(name)) === true ? names : undefined;
}
