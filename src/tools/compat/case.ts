/**
 * A compatibility case is data: the steps of a libqb client, the expected result of each, and the
 * C server's result where ours differs on purpose. run-case.ts runs every case with each kind of
 * client.
 */
import type { Errno } from "../../base/errno.ts";
import type { Body } from "./body.ts";

/** The kinds of clients: libqb through bun:ffi, a C program on libqb, our own library. */
export const FLAVORS = ["libqb", "c", "own"] as const;
export type Flavor = (typeof FLAVORS)[number];

/**
 * The kinds of services: `echo` answers a request with its body; `control` is an echo that sends
 * events and applies flow control on request; `pmxcfs` has the twelve requests; `other` is none of
 * them. target.ts finds the kind by requests.
 */
export const PROFILES = ["pmxcfs", "echo", "control", "other"] as const;
export type Profile = (typeof PROFILES)[number];

/** A requirement of a case besides a service; if it is not met, the case is skipped. */
export type Need =
  /** A pmxcfs that the runner has just started, with the runner's files. */
  | "fixtures"
  /** The service may be written to: status, cluster log. */
  | "writes"
  /** The runner may stop and start the service. */
  | "restart"
  /** Root, to become www-data and an unknown user. */
  | "root"
  /** The service runs on this machine and uses our /dev/shm. */
  | "rings";

/** The user of a client. */
export type User = "self" | "www-data" | "stranger";

/** The expected answer. */
export type Expect =
  /** Error 0 and exactly this body. */
  | { readonly body: Body }
  /** This errno and no body. */
  | { readonly errno: Errno }
  /** Error 0 and JSON with these values; objects, but not arrays, may have more. */
  | { readonly json: unknown }
  /** Error 0 and text with these lines in any order. */
  | { readonly lines: readonly string[] }
  /** Error 0 and text that starts with this. */
  | { readonly starts: string }
  /** Error 0 and text that matches this. */
  | { readonly matches: RegExp }
  /** Any answer with this request's id. */
  | "any answer"
  /** The call itself fails with this errno: there is no answer. */
  | { readonly fails: Errno | readonly Errno[] };

/** An answer of the C server that differs from ours, and the reason for the difference. */
export interface Deviation {
  readonly why: string;
  readonly expect: Expect;
}

interface ByClient {
  /** Name of the case's client that takes the step; default: `a`. */
  readonly client?: string;
}

export type Step = ByClient &
  (
    | {
        readonly do: "connect";
        readonly user?: User;
        /** Message size to ask for; default: PVE's 1 MiB. */
        readonly size?: number;
        /** The errnos a refusal may have; `refused`: any but ECONNREFUSED and ETIMEDOUT. */
        readonly expect?: "refused" | readonly Errno[];
      }
    | {
        readonly do: "call";
        readonly id: number;
        readonly body?: Body;
        /** The size in the header instead of the true one. */
        readonly claims?: number;
        readonly expect: Expect;
        readonly deviation?: Deviation;
        /** Repeats the call for up to this long until it is right: C's RRD dump may be 2 s old. */
        readonly withinMs?: number;
      }
    /** An unused id: ECHRNG from pmxcfs, the body itself from an echo. */
    | { readonly do: "ping"; readonly body?: Body }
    | {
        readonly do: "send";
        readonly id: number;
        readonly body?: Body;
        /** The errno with which the send must fail; default: it must succeed. */
        readonly expect?: Errno;
      }
    | { readonly do: "receive"; readonly id: number; readonly expect: Expect }
    | { readonly do: "event"; readonly id: number; readonly expect: Expect }
    /** `count` pings sent before the first answer is read; answers in order. */
    | { readonly do: "pipeline"; readonly count: number }
    /** `count` pings one after the other, and no wake-up byte left unread afterwards. */
    | { readonly do: "repeat"; readonly count: number; readonly body?: Body }
    /** Pings without reading an answer: more than the rings hold, or until a send fails. */
    | { readonly do: "fill" }
    /** The highest flow control level that stops the client (libqb's qb_ipcc_fc_enable_max_set). */
    | { readonly do: "flow control"; readonly max: 1 | 2 }
    /** Asks for flow control at this level, repeatedly, until a send fails with EAGAIN. */
    | { readonly do: "await flow control"; readonly level: 1 | 2 }
    /** Waits until a send succeeds again. */
    | { readonly do: "await sending" }
    | { readonly do: "disconnect" }
    /** Waits until the client notices the end of the connection. */
    | { readonly do: "await hang-up" }
    | { readonly do: "kill" }
    /** A forked child makes its own connection and pings; the parent's connection stays usable. */
    | { readonly do: "fork" }
    /** Waits until the service has removed the client's ring files. */
    | { readonly do: "await rings gone" }
    | { readonly do: "server"; readonly action: "stop" | "kill" | "start" }
  );

export interface Case {
  /** `group.subject`, unique. */
  readonly name: string;
  /** The behaviour that the case proves, as a sentence. */
  readonly shows: string;
  /** Kinds of services that it applies to; default: all. */
  readonly profiles?: readonly Profile[];
  readonly needs?: readonly Need[];
  /** Kinds of clients that can run it; default: all. */
  readonly clients?: readonly Flavor[];
  readonly steps: readonly Step[];
  /** Time limit, ms, if the runner's default is too short. */
  readonly deadlineMs?: number;
}
