/** Requests of pmxcfs read back into their arguments, for people and for JSON. */
import {
  CfsIpc,
  GetClusterLogRequest,
  GetStatusRequest,
  GuestPropertiesRequest,
  GuestPropertyRequest,
  LogClusterMessageRequest,
  SetStatusRequest,
} from "../wire/cfs.ts";
import { spanOf, type Span } from "../wire/struct.ts";
import { textAt, textList } from "../wire/text.ts";

export type Arguments = Readonly<Record<string, string | number | readonly string[]>>;

interface Shape {
  readonly minBytes: number;
  readonly read: (span: Span) => Arguments;
}

/** Wire text is one latin1 character per byte; people get it as UTF-8. */
function shown(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}

function propertiesOf(span: Span): Arguments {
  const { read, size } = GuestPropertiesRequest;
  const names = textList(span, size, read.count(span));
  return { vmid: read.vmid(span), properties: names?.map(shown) ?? "malformed" };
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
    read: (span) => ({
      name: shown(SetStatusRequest.read.name(span)),
      value_bytes: span.size - SetStatusRequest.size,
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
  // Never its secret: a trace is read over shoulders.
  [CfsIpc.VERIFY_TOKEN]: {
    minBytes: 1,
    read: (span) => ({ token: shown(textAt(span, 0)).replace(/[ =].*$/s, " ...") }),
  },
  [CfsIpc.GET_GUEST_CONFIG_PROPERTIES]: {
    minBytes: GuestPropertiesRequest.size,
    read: propertiesOf,
  },
};

/** The arguments of a request; only its size when it is no request of pmxcfs, or a broken one. */
export function argumentsOf(id: number, body: Buffer): Arguments {
  const shape = SHAPES[id];
  if (shape !== undefined && body.byteLength >= shape.minBytes) return shape.read(spanOf(body));
  return body.byteLength === 0 ? {} : { body_bytes: body.byteLength };
}
