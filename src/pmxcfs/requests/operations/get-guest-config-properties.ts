/** GET_GUEST_CONFIG_PROPERTIES: several at once. C: cfs_create_guest_conf_properties_msg. */
import { Errno } from "../../../base/errno.ts";
import type { Span } from "../../../wire/struct.ts";
import { textList } from "../../../wire/text.ts";
import { guestError, vmidOf } from "../guest-request.ts";
import { CfsIpc, GuestPropertiesRequest } from "../layouts.ts";
import type { Operation } from "../operation.ts";

export const getGuestConfigProperties: Operation = {
  id: CfsIpc.GET_GUEST_CONFIG_PROPERTIES,
  name: "GET_GUEST_CONFIG_PROPERTIES",
  access: "read",
  minBytes: 0,
  maxBytes: Infinity,
  malformed: ({ guests }, body) => guestError(guests, vmidOf(body)) ?? Errno.EINVAL,
  run({ guests }, body) {
    const vmid = vmidOf(body);
    const error = guestError(guests, vmid);
    if (error !== undefined) return error;
    const names = propertyNames(body);
    return names === undefined ? Errno.EINVAL : guests.properties(vmid, names);
  },
};

/** The names asked for; undefined unless there is at least one and each begins with a to z. */
function propertyNames(body: Span): string[] | undefined {
  const { size, read } = GuestPropertiesRequest;
  const expected = body.size < size ? 0 : read.count(body);
  if (expected === 0) return undefined;
  const names = textList(body, size, expected);
  return names?.every((name) => /^[a-z]/.test(name)) === true ? names : undefined;
}
