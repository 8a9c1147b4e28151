/**
 * The setups: our servers, as root and as another user, with 1024 descriptors, and the users of the
 * clients.
 */
import type { Identity } from "../support/identity.ts";
import { NOBODY, ROOT, WWW_DATA } from "../support/identity.ts";
import { program } from "../support/service.ts";
import type { Behaviour } from "./behaviours.ts";

export interface Setup {
  readonly name: string;
  /** Why it cannot run here; undefined if it can. */
  readonly unless: string | undefined;
  command(service: string): readonly string[];
  readonly attacker: Identity;
  /** The well-behaved client has the attacker's uid. */
  readonly sameUid: boolean;
  /** Flags of qb-steady. */
  readonly steady: readonly string[];
  /** Whether a behaviour makes sense in this setup. */
  suits(behaviour: Behaviour): boolean;
  /** True when answers are echoes. */
  readonly echoes: boolean;
}

const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? undefined : "needs root, to serve and attack as two users";

/** `command` with a limit of 1024 descriptors, and as another user if one is given. */
function confined(command: readonly string[], as?: Identity): string[] {
  const become =
    as === undefined
      ? []
      : ["setpriv", `--reuid=${as.uid}`, `--regid=${as.gid}`, "--clear-groups", "--"];
  return ["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh", ...become, ...command];
}

function echo(service: string, ...flags: string[]): string[] {
  return [...program(), "echo", "--socket", service, ...flags];
}

function flagsOf({ uid, gid }: Identity): string[] {
  return ["--uid", String(uid), "--gid", String(gid)];
}

const SHORT = /^(handshake|requested sizes|load)$/;
/** Behaviours that need an accepted connection. */
const NEEDS_ACCEPTANCE = new Set(["500 with a round trip each"]);

const OWN: Identity = isRoot
  ? NOBODY
  : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

/** The setups; `directory`: an empty one to serve. */
export function setups(directory: string): readonly Setup[] {
  const serve = (service: string) =>
    confined([...program(), "serve", "--socket", service, "--dir", directory, "--no-rrd"]);
  return [
    {
      name: "echo by root, attacked by www-data",
      unless: needsRoot,
      command: (service) => confined(echo(service, "--accept-any")),
      attacker: WWW_DATA,
      sameUid: false,
      steady: [],
      suits: ({ group }) => group !== "files",
      echoes: true,
    },
    {
      name: "serve by root, attacked by www-data",
      unless: needsRoot,
      command: serve,
      attacker: WWW_DATA,
      sameUid: false,
      steady: ["--no-verify"],
      suits: ({ group }) => group !== "files",
      echoes: false,
    },
    {
      name: "serve by root, attacked by a user without access",
      unless: needsRoot,
      command: serve,
      attacker: NOBODY,
      sameUid: false,
      steady: ["--no-verify"],
      suits: ({ group, name }) => SHORT.test(group) && !NEEDS_ACCEPTANCE.has(name),
      echoes: false,
    },
    {
      name: "echo by root, attacked by root",
      unless: needsRoot,
      command: (service) => confined(echo(service)),
      attacker: ROOT,
      sameUid: true,
      steady: [],
      suits: ({ group }) => group === "files" || group === "load",
      echoes: true,
    },
    {
      name: "echo by a user, attacked by the same user",
      unless: undefined,
      command: (service) => confined(echo(service), isRoot ? OWN : undefined),
      attacker: OWN,
      sameUid: true,
      steady: flagsOf(OWN),
      suits: () => true,
      echoes: true,
    },
  ];
}
