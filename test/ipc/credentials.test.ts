/**
 * Whose word counts: a peer is judged by the real ids of who sent its set-up request, as libqb
 * judges it, and opens its rings with its effective ids. Setuid and setgid programs, and daemons
 * that dropped ids, as real libqb clients.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, to be others");

interface Case {
  readonly who: string;
  /** uid and gid. */
  readonly real: readonly [number, number];
  readonly effective: readonly [number, number];
  readonly policy: "proxmox" | "by-group";
  /** What it may do, or the errno of its connect. */
  readonly outcome: string | Errno;
}

const CASES: readonly Case[] = [
  {
    who: "www-data, running a setuid-root program",
    real: [33, 33],
    effective: [0, 33],
    policy: "proxmox",
    outcome: "read-only",
  },
  {
    who: "a user, running a setuid-root program",
    real: [1000, 1000],
    effective: [0, 0],
    policy: "proxmox",
    outcome: Errno.EPERM,
  },
  {
    who: "root's daemon with the effective ids of www-data, whose other processes share its rings",
    real: [0, 0],
    effective: [33, 33],
    policy: "proxmox",
    outcome: "read-only",
  },
  {
    // Accepted, as by libqb; its rings are root's, because uid 1000 may do nothing here.
    who: "root's daemon with the effective ids of a user who has no access",
    real: [0, 0],
    effective: [1000, 1000],
    policy: "proxmox",
    outcome: Errno.EACCES,
  },
  {
    who: "a user, running a setgid-www-data program",
    real: [1000, 1000],
    effective: [1000, 33],
    policy: "by-group",
    outcome: Errno.EPERM,
  },
  {
    who: "a member of www-data with another effective group",
    real: [1000, 33],
    effective: [1000, 1000],
    policy: "by-group",
    outcome: "read-write",
  },
  {
    who: "root with www-data as its real group",
    real: [0, 33],
    effective: [0, 0],
    policy: "by-group",
    outcome: "read-write",
  },
];

for (const { who, real, effective, policy, outcome } of CASES) {
  const ids = `real ${real.join(":")}, effective ${effective.join(":")}`;
  asRoot(`${who} (${ids}): ${outcome}`, async () => {
    await using server = await startService(libraryCommand("policy", policy));
    await using client = await QbClient.open(server.name, {
      realUid: real[0],
      realGid: real[1],
      uid: effective[0],
      gid: effective[1],
    });
    if (typeof outcome === "number") {
      expect(client.connected.res).toBe(outcome);
    } else {
      expect(client.connected.res).toBe(0);
      expect(bodyText(await client.call(1))).toBe(outcome);
    }
    await client[Symbol.asyncDispose]();
    expect(await server.stop()).toBe(0);
    await noRingsLeft(server.pid);
  });
}
