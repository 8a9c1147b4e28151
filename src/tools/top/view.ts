/**
 * What `top` shows, from two readings of a server's status: rates from the difference, commands
 * from /proc (read here, so that the server does not have to). Field names are those of
 * `top --json`.
 */
import type { ConnectionStatus, StatusDocument, TrafficStatus } from "../../observe/status.ts";
import { commandOf } from "../../platform/processes.ts";

/** One connection. */
export interface ConnectionView extends Omit<ConnectionStatus, "durations_ns"> {
  /** The command name of the process, `?` if it has ended. */
  readonly command: string;
  readonly requests_per_second: number;
  readonly errors_per_second: number;
  /** Of the requests between the two readings; null if none was timed. */
  readonly p99_us: number | null;
  /** In both directions. */
  readonly bytes: number;
  readonly age_seconds: number;
}

/** One reading, with the changes since the previous one. */
export interface View extends Omit<StatusDocument, "connections" | "totals"> {
  /** Time between the two readings; 0 for the first. */
  readonly interval_ms: number;
  /** Of the mount; 0 if there is none. */
  readonly mount_operations_per_second: number;
  readonly totals: TrafficStatus & {
    readonly requests_per_second: number;
    readonly errors_per_second: number;
  };
  readonly connections: readonly ConnectionView[];
}

const MS = 1000;

/** Per second, one decimal. */
function rate(now: number, before: number, ms: number): number {
  return ms <= 0 ? 0 : Math.round(((now - before) * MS * 10) / ms) / 10;
}

type Durations = ConnectionStatus["durations_ns"];

/** The 99th percentile of the requests that `before` does not count yet. */
export function p99Us(now: Durations, before: Durations): number | null {
  const counted = new Map(before);
  const fresh = now.map(([ns, count]) => [ns, count - (counted.get(ns) ?? 0)] as const);
  const total = fresh.reduce((sum, [, count]) => sum + count, 0);
  let left = Math.ceil(total * 0.99);
  for (const [ns, count] of fresh) {
    left -= count;
    if (total > 0 && left <= 0) return Math.round(ns / 100) / 10;
  }
  return null;
}

/** `before` is the previous reading of the same server, undefined for the first. */
export function viewOf(
  now: StatusDocument,
  before: StatusDocument | undefined,
  nameOf: (pid: number) => string = commandOf,
): View {
  const same = before?.pid === now.pid ? before : undefined;
  const interval = same === undefined ? 0 : now.now_ms - same.now_ms;
  const earlier = new Map(same?.connections.map((each) => [each.number, each]));
  const { connections, totals, ...rest } = now;
  return {
    ...rest,
    interval_ms: interval,
    mount_operations_per_second: rate(
      now.mount?.operations ?? 0,
      same?.mount?.operations ?? 0,
      interval,
    ),
    totals: {
      ...totals,
      requests_per_second: rate(totals.requests, same?.totals.requests ?? 0, interval),
      errors_per_second: rate(totals.errors, same?.totals.errors ?? 0, interval),
    },
    connections: connections.map((each) => {
      const old = earlier.get(each.number);
      const { durations_ns: durations, ...shown } = each;
      return Object.assign(shown, {
        command: nameOf(each.pid),
        requests_per_second: rate(each.requests, old?.requests ?? 0, interval),
        errors_per_second: rate(each.errors, old?.errors ?? 0, interval),
        p99_us: p99Us(durations, old?.durations_ns ?? []),
        bytes: each.request_bytes + each.response_bytes,
        age_seconds: Math.max(0, Math.round((now.now_ms - each.opened_ms) / MS)),
      });
    }),
  };
}

/** Sort orders of the table: key, word on the screen, direction. */
export const SORTS = {
  requests: {
    key: "r",
    label: "(r)eqs",
    value: (each: ConnectionView) => each.requests_per_second,
    first: "most",
  },
  errors: {
    key: "e",
    label: "(e)rrs",
    value: (each: ConnectionView) => each.errors,
    first: "most",
  },
  queue: {
    key: "k",
    label: "(k)queue",
    value: (each: ConnectionView) => each.queued,
    first: "most",
  },
  p99: {
    key: "l",
    label: "(l)p99",
    value: (each: ConnectionView) => each.p99_us ?? -1,
    first: "most",
  },
  bytes: { key: "b", label: "(b)ytes", value: (each: ConnectionView) => each.bytes, first: "most" },
  age: {
    key: "a",
    label: "(a)ge",
    value: (each: ConnectionView) => each.age_seconds,
    first: "most",
  },
  pid: { key: "p", label: "(p)id", value: (each: ConnectionView) => each.pid, first: "least" },
  uid: { key: "u", label: "(u)id", value: (each: ConnectionView) => each.uid, first: "least" },
  command: {
    key: "c",
    label: "(c)ommand",
    value: (each: ConnectionView) => each.command,
    first: "least",
  },
} as const;

export type SortName = keyof typeof SORTS;

/** Sorted by `name`; equal rows stay in the order of their connects. */
export function sorted(view: View, name: SortName, reverse: boolean): ConnectionView[] {
  const { value, first } = SORTS[name];
  const sign = (first === "most") === reverse ? 1 : -1;
  return view.connections.toSorted((left, right) => {
    const [a, b] = [value(left), value(right)];
    if (a === b) return left.number - right.number;
    return a < b ? -sign : sign;
  });
}
