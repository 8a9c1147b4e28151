/**
 * GET_GUEST_CONFIG_PROPERTY and GET_GUEST_CONFIG_PROPERTIES: one property of any name, or several.
 * The guest's number is checked before the rest of the body, and even if the body is too short for
 * it: then the missing bytes are 0, as in C (server.c).
 */
import { Errno } from "../../../base/errno.ts";
import { newSpan, prefix, type Span, u32, u8 } from "../../../wire/struct.ts";
import { decoded, tail, textAt, textList } from "../../../wire/text.ts";
import { FIRST_VMID, type Guests } from "../../state/guests.ts";
import type { KeptAnswers } from "../../state/kept-answers.ts";
import { jsonAnswer, table } from "../answer.ts";
import { badNumber, badText, shownText, terminated, unfit } from "../encoding.ts";
import { redactProperties } from "../redaction.ts";
import { defineRequest, type Parameter, type Redaction, type Services } from "../request.ts";

/** By vmid, then by property; only properties that are set. */
export type GuestProperties = Readonly<Record<string, Readonly<Record<string, string>>>>;

const vmidParameter: Parameter = {
  kind: "number",
  description: "Id of the guest; 0: all guests",
  required: true,
  max: 0xffffffff,
};

const answer = jsonAnswer<GuestProperties>(
  "list of properties",
  (value) => value as GuestProperties,
  (guests) => {
    const rows = Object.entries(guests).flatMap(([vmid, values]) =>
      Object.entries(values).map(([name, value]) => [vmid, `${name}: ${value}`]),
    );
    return rows.length === 0 ? "none is set\n" : table(rows);
  },
);

/** The server's checks of the guest, which come first. */
const GUEST_CHECKS: readonly string[] = [
  "vmid 1 to 99: EINVAL; from 100 on, unknown: ENOENT (bytes missing in a short body count as 0)",
];

const redact: Redaction = { reply: (_, reply) => redactProperties(reply) };

/** The u32 at the start of the body; missing bytes are 0. */
function vmidOf({ bytes, at }: Span): number {
  const byte = (offset: number) => bytes[at + offset] ?? 0;
  return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
}

/**
 * The errno for a vmid: EINVAL for 1 to 99, ENOENT for a guest that does not exist.
 */
function guestError(guests: Guests, vmid: number): Errno | undefined {
  if (vmid === 0) return undefined;
  if (vmid < FIRST_VMID) return Errno.EINVAL;
  return guests.has(vmid) ? undefined : Errno.ENOENT;
}

/** The errno when the header claims a size below 16: the guest is checked first. */
function malformedProperties({ guests }: Services, body: Span): Errno {
  return guestError(guests, vmidOf(body)) ?? Errno.EINVAL;
}

/** Answers to larger bodies are not kept: no daemon sends them, and decoding them takes longer. */
const MOST_KEPT_BODY_BYTES = 4096;

/** Reads the names of the properties from a body; undefined if they are not valid. */
type NamesOf = (body: Span) => readonly string[] | undefined;

function propertiesOf(guests: Guests, body: Span, namesOf: NamesOf): Uint8Array | Errno {
  const vmid = vmidOf(body);
  const error = guestError(guests, vmid);
  if (error !== undefined) return error;
  const names = namesOf(body);
  return names === undefined ? Errno.EINVAL : guests.properties(vmid, names);
}

/** The answer in `kept` to the same body, or a new one, which is then kept. */
function answerOf(
  guests: Guests,
  body: Span,
  kept: KeptAnswers,
  namesOf: NamesOf,
): Uint8Array | Errno {
  if (body.size > MOST_KEPT_BODY_BYTES) return propertiesOf(guests, body, namesOf);
  const question = decoded(body);
  return kept.get(question) ?? kept.keep(question, propertiesOf(guests, body, namesOf));
}

const propertyLayout = prefix({ vmid: u32 });

/** The requested name; undefined if the body has no byte of it. */
function propertyName(body: Span): string[] | undefined {
  return body.size <= propertyLayout.size ? undefined : [tail(body, propertyLayout.size)];
}

export const getGuestConfigProperty = defineRequest({
  id: 11,
  name: "GET_GUEST_CONFIG_PROPERTY",
  summary: "Print one property of a guest's config",
  example: ["--vmid 0 lock", "every locked guest"],
  access: "read",
  minBytes: 0,
  maxBytes: Infinity,
  layout: propertyLayout,
  tail: "property",
  checks: [
    ...GUEST_CHECKS,
    "no byte of a property: EINVAL; the last byte is taken as NUL",
    "empty configuration: EIO",
  ],
  result: "JSON: by vmid, the property; guests without it are omitted",
  parameters: {
    vmid: vmidParameter,
    property: {
      kind: "text",
      description: "Name of the property",
      positional: true,
      required: true,
    },
  },
  encode({ vmid, property }: { readonly vmid: number; readonly property: string }) {
    const bad = badNumber("the vmid", vmid, 0xffffffff) ?? badText("the property", property);
    if (bad !== undefined) return bad;
    const span = newSpan(propertyLayout.size);
    propertyLayout.write.vmid(span, vmid);
    return Buffer.concat([span.bytes, terminated(property)]);
  },
  describe: (span) => ({
    vmid: propertyLayout.read.vmid(span),
    property: shownText(textAt(span, propertyLayout.size)),
  }),
  answer,
  errors: {
    [Errno.ENOENT]: "no such guest",
    [Errno.EINVAL]: "vmids begin at 100; 0 means all guests",
    [Errno.EIO]: "the guest's config file is empty",
  },
  redact,
  probe: { arguments: { vmid: 0, property: "lock" }, reply: "json" },
  malformed: malformedProperties,
  run: ({ guests }, body) => answerOf(guests, body, guests.kept.property, propertyName),
});

/** Followed by `count` names, each NUL-terminated. */
const propertiesLayout = prefix({ vmid: u32, count: u8 });

/** The count is one byte. */
const NAMES_MAX = 255;

interface Asked {
  readonly vmid: number;
  readonly properties: readonly string[];
}

function encodeProperties({ vmid, properties }: Asked) {
  if (properties.length > NAMES_MAX) {
    return unfit(`${properties.length} properties; one request takes ${NAMES_MAX}`);
  }
  for (const name of properties) {
    const bad = badText("a property", name);
    if (bad !== undefined) return bad;
  }
  const bad = badNumber("the vmid", vmid, 0xffffffff);
  if (bad !== undefined) return bad;
  const span = newSpan(propertiesLayout.size);
  propertiesLayout.write.vmid(span, vmid);
  propertiesLayout.write.count(span, properties.length);
  return Buffer.concat([span.bytes, ...properties.map(terminated)]);
}

/** The requested names; undefined if there is none or one does not begin with a to z. */
function propertyNames(body: Span): string[] | undefined {
  const expected = body.size < propertiesLayout.size ? 0 : propertiesLayout.read.count(body);
  if (expected === 0) return undefined;
  const names = textList(body, propertiesLayout.size, expected);
  return names?.every((name) => /^[a-z]/.test(name)) === true ? names : undefined;
}

export const getGuestConfigProperties = defineRequest({
  id: 13,
  name: "GET_GUEST_CONFIG_PROPERTIES",
  summary: "Print several properties of a guest's config",
  example: ["--vmid 100 name cores", "two properties of one guest"],
  access: "read",
  minBytes: 0,
  maxBytes: Infinity,
  layout: propertiesLayout,
  tail: "names",
  checks: [
    ...GUEST_CHECKS,
    "count 0, at most 1 byte of names, a name that is empty, lacks its NUL or does not begin " +
      "with a to z, bytes left over: EINVAL",
    "empty configuration: EIO",
  ],
  result: "as 11, in the order of the names",
  parameters: {
    vmid: vmidParameter,
    properties: {
      kind: "names",
      description: "Names of the properties",
      positional: true,
      required: true,
    },
  },
  encode: encodeProperties,
  describe(span, bodyBytes) {
    const count = propertiesLayout.read.count(span);
    const names = textList(span, propertiesLayout.size, count)?.map(shownText);
    const unread = span.size < bodyBytes ? `${count} names` : "malformed";
    return { vmid: propertiesLayout.read.vmid(span), properties: names ?? unread };
  },
  answer,
  errors: {
    [Errno.ENOENT]: "no such guest",
    [Errno.EINVAL]: "vmids begin at 100 (0 means all guests), and names begin with a to z",
    [Errno.EIO]: "the guest's config file is empty",
  },
  redact,
  probe: { arguments: { vmid: 0, properties: ["lock", "tags"] }, reply: "json" },
  malformed: malformedProperties,
  run: ({ guests }, body) => answerOf(guests, body, guests.kept.properties, propertyNames),
});
