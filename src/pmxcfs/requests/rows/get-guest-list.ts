/** GET_GUEST_LIST: all guests with node, type and version. C: cfs_create_vmlist_msg. */
import { jsonAnswer, table } from "../answer.ts";
import { EMPTY } from "../encoding.ts";
import { defineRequest } from "../request.ts";

/** Guests by vmid. */
export interface GuestList {
  readonly version: number;
  readonly ids: Readonly<
    Record<string, { readonly node: string; readonly type: string; readonly version: number }>
  >;
}

function listText({ ids }: GuestList): string {
  const guests = Object.entries(ids).toSorted(([one], [other]) => Number(one) - Number(other));
  if (guests.length === 0) return "no guests\n";
  const rows = guests.map(([vmid, { node, type, version }]) => [vmid, type, node, String(version)]);
  return table([["VMID", "TYPE", "NODE", "VERSION"], ...rows]);
}

export const getGuestList = defineRequest({
  id: 3,
  name: "GET_GUEST_LIST",
  summary: "Print all guests with their node, type and version",
  example: ["", "a table"],
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  checks: ["any body: EINVAL"],
  result: "JSON: version and, by vmid, node, type and version",
  parameters: {},
  encode: () => EMPTY,
  describe: () => ({}),
  answer: jsonAnswer<GuestList>(
    "guest list",
    ({ version, ids = {} }) => ({ version, ids }) as GuestList,
    listText,
  ),
  errors: {},
  probe: { arguments: {}, reply: "json" },
  run: ({ guests }) => guests.list(),
});
