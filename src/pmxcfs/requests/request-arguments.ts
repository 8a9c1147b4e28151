/**
 * Requests of pmxcfs read back into their arguments, for people and for JSON: what `trace` prints
 * and the log at debug. Never a token's secret, never a status value: both are read over shoulders.
 */
import {
  CfsIpc,
  GetClusterLogRequest,
  GetStatusRequest,
  GuestPropertiesRequest,
  GuestPropertyRequest,
  LogClusterMessageRequest,
  SetStatusRequest,
} from "./layouts.ts";
import { spanOf, type Span } from "../../wire/struct.ts";
import { textAt, textList } from "../../wire/text.ts";

export type Arguments = Readonly<Record<string, string | number | readonly string[]>>;

interface Shape {
  readonly minBytes: number;
  /** `bodyBytes` is what the whole body has; the span may be only its beginning. */
  readonly read: (span: Span, bodyBytes: number) => Arguments;
}

/** Wire text is one latin1 character per byte; people get it as UTF-8. */
function shown(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

function propertiesOf(span: Span, bodyBytes: number): Arguments {
  const { read, size } = GuestPropertiesRequest;
  const count = read.count(span);
  const names = textList(span, size, count)?.map(shown);
  const unread = span.size < bodyBytes ? `${count} names` : "malformed";
  return { vmid: read.vmid(span), properties: names ?? unread };
}

/** `root@pam!ci ...`; nothing at all of what is no token, which may be all secret. */
function tokenOf(span: Span): Arguments {
  const [, name] = /^([^ =!]+![^ =]+)[ =]/.exec(textAt(span, 0)) ?? [];
  return { token: name === undefined ? "..." : `${shown(name)} ...` };
}

function logOf(span: Span): Arguments {
  const { read, size } = LogClusterMessageRequest;
  const tagAt = size + read.identBytes(span);
  const messageAt = tagAt + read.tagBytes(span);
  return {
    priority: read.priority(span),
    user: shown(textAt(span, size)),
    tag: shown(textAt(span, tagAt)),
    message: shown(textAt(span, messageAt)),
  };
}

const SHAPES: Readonly<Partial<Record<number, Shape>>> = {
  [CfsIpc.SET_STATUS]: {
    minBytes: SetStatusRequest.size,
    read: (span, bodyBytes) => ({
      name: shown(SetStatusRequest.read.name(span)),
      value_bytes: bodyBytes - SetStatusRequest.size,
    }),
  },
  [CfsIpc.GET_STATUS]: {
    minBytes: GetStatusRequest.size,
    read: (span) => ({
      name: shown(GetStatusRequest.read.name(span)),
      node: shown(GetStatusRequest.read.nodeName(span)),
    }),
  },
  [CfsIpc.GET_CONFIG]: { minBytes: 1, read: (span) => ({ path: shown(textAt(span, 0)) }) },
  [CfsIpc.LOG_CLUSTER_MSG]: { minBytes: LogClusterMessageRequest.size, read: logOf },
  [CfsIpc.GET_CLUSTER_LOG]: {
    minBytes: GetClusterLogRequest.size,
    read: (span) => ({
      max_entries: GetClusterLogRequest.read.maxEntries(span),
      user: shown(textAt(span, GetClusterLogRequest.size)),
    }),
  },
  [CfsIpc.GET_GUEST_CONFIG_PROPERTY]: {
    minBytes: GuestPropertyRequest.size,
    read: (span) => ({
      vmid: GuestPropertyRequest.read.vmid(span),
      property: shown(textAt(span, GuestPropertyRequest.size)),
    }),
  },
  [CfsIpc.VERIFY_TOKEN]: { minBytes: 1, read: tokenOf },
  [CfsIpc.GET_GUEST_CONFIG_PROPERTIES]: {
    minBytes: GuestPropertiesRequest.size,
    read: propertiesOf,
  },
};

/**
 * The arguments of a request; only its size when it is no request of pmxcfs, or a broken one. Of a
 * body beyond `mostBytes` (528 at least) the beginning is read, whatever the client sent.
 */
export function argumentsOf(id: number, body: Buffer, mostBytes = Infinity): Arguments {
  const shape = SHAPES[id];
  const { byteLength } = body;
  if (shape !== undefined && byteLength >= shape.minBytes) {
    return shape.read(spanOf(body.subarray(0, mostBytes)), byteLength);
  }
  return byteLength === 0 ? {} : { body_bytes: byteLength };
}

/** `path="storage.cfg"`. */
export function argumentText(given: Arguments): string {
  return Object.entries(given)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(" ");
}
