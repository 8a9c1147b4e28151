/**
 * A compatibility case is data: the steps of a libqb client, the expected result of each, and what
 * the C server does where we differ on purpose. The runner (run-case.ts) gives every case to each
 * kind of client.
 */
import type { Errno } from "../../base/errno.ts";
import type { Body } from "./body.ts";

/** The kinds of clients: libqb through bun:ffi, a C program on libqb, our own library. */
export const FLAVORS = ["libqb", "c", "own"] as const;
export type Flavor = (typeof FLAVORS)[number];

/**
 * What a service answers, found by asking it: `echo` its requests, `control` an echo that sends
 * events and holds requests when asked, `pmxcfs` the twelve requests, `other` something else.
 */
export const PROFILES = ["pmxcfs", "echo", "control", "other"] as const;
export type Profile = (typeof PROFILES)[number];

/** What a case needs besides a service; where it is missing, the case is skipped. */
export type Need =
  /** The runner's own files in a pmxcfs that has just been started. */
  | "fixtures"
  /** The service may be written to: status, cluster log. */
  | "writes"
  /** The runner may stop and start the service. */
  | "restart"
  /** Permission to become www-data and an unknown user. */
  | "root"
  /** The service runs on this machine and uses our /dev/shm. */
  | "rings"
  /** The service has pmxcfs's access rule. */
  | "pmxcfs-access";

/** The user of a client. */
export type As = "self" | "www-data" | "stranger";

/** The expected answer. */
export type Expect =
  /** Error 0 and exactly this body. */
  | { readonly body: Body }
  /** This errno and no body. */
  | { readonly errno: Errno }
  /** Error 0 and JSON in which everything given here is equal (objects: these keys at least). */
  | { readonly json: unknown }
  /** Error 0 and text in which each line occurs, whatever the order; `without` must not occur. */
  | { readonly lines: readonly string[]; readonly without?: readonly string[] }
  /** Error 0 and text that begins so. */
  | { readonly starts: string }
  /** Any answer to this very request. */
  | "any answer"
  /** The call itself fails with this errno: there is no answer. */
  | { readonly fails: Errno | readonly Errno[] };

/** What the C server does instead, and why ours differs. */
export interface Deviation {
  readonly why: string;
  readonly expect: Expect;
}

interface Of {
  /** Which of the case's clients takes the step; `a` unless given. */
  readonly of?: string;
}

export type Step = Of &
  (
    | {
        readonly do: "connect";
        readonly as?: As;
        /** Largest message asked for; PVE's 1 MiB unless given. */
        readonly size?: number;
        /** The errnos a refusal may have; `refused`: any but ECONNREFUSED and ETIMEDOUT. */
        readonly expect?: "refused" | readonly Errno[];
      }
    | {
        readonly do: "call";
        readonly id: number;
        readonly body?: Body;
        /** What the header claims instead of the true size. */
        readonly claims?: number;
        readonly expect: Expect;
        readonly deviation?: Deviation;
        /** Asked again for this long: the C server keeps its RRD dump for 2 s. */
        readonly withinMs?: number;
      }
    /** An unused id: ECHRNG from pmxcfs, the body itself from an echo. */
    | { readonly do: "ping"; readonly body?: Body }
    | {
        readonly do: "send";
        readonly id: number;
        readonly body?: Body;
        /** 0, unless an errno is given. */
        readonly expect?: Errno;
      }
    | { readonly do: "receive"; readonly id: number; readonly expect: Expect }
    | { readonly do: "event"; readonly id: number; readonly expect: Expect }
    /** `count` pings sent before the first answer is read; answers in order. */
    | { readonly do: "pipeline"; readonly count: number }
    /** `count` pings one after the other, and no wake-up byte left unread afterwards. */
    | { readonly do: "repeat"; readonly count: number; readonly body?: Body }
    /** Flow control levels up to this stop the client. */
    | { readonly do: "flow control"; readonly max: 1 | 2 }
    /** Asks for flow control at this level, repeatedly, until a send fails with EAGAIN. */
    | { readonly do: "await held"; readonly level: 1 | 2 }
    /** Waits until a send succeeds again. */
    | { readonly do: "await sending" }
    | { readonly do: "disconnect" }
    /** Waits until the client notices the end of the connection. */
    | { readonly do: "await hang-up" }
    | { readonly do: "kill" }
    /** A forked child connects anew and pings; the parent's connection stays whole. */
    | { readonly do: "fork" }
    /** Waits until the service has removed the client's ring files. */
    | { readonly do: "await rings gone" }
    | { readonly do: "server"; readonly action: "stop" | "kill" | "start" }
  );

export interface Case {
  /** `group.what`, unique. */
  readonly name: string;
  /** What it proves, as a sentence. */
  readonly shows: string;
  /** Services it makes sense for; any unless given. */
  readonly on?: readonly Profile[];
  readonly needs?: readonly Need[];
  /** Kinds of clients that can do it; all unless given. */
  readonly clients?: readonly Flavor[];
  readonly steps: readonly Step[];
  /** Longest it may take, ms, where the runner's default is too short. */
  readonly deadlineMs?: number;
}
