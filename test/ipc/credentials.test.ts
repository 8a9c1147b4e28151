/**
 * Which ids count: a peer is judged by the real ids of the sender of its set-up request, as in
 * libqb, and opens its rings with its effective ids. The clients are real libqb clients: setuid and
 * setgid programs, and daemons that dropped ids.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { bodyText, QbClient } from "../support/qb-client.ts";
import { libraryCommand, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, to be others");

type Ids = readonly [uid: number, gid: number];

/** `outcome`: what the client may do, or the errno of its connect. */
const CASES: readonly (readonly [
  who: string,
  real: Ids,
  effective: Ids,
  policy: "proxmox" | "by-group",
  outcome: string | Errno,
])[] = [
  ["www-data, running a setuid-root program", [33, 33], [0, 33], "proxmox", "read-only"],
  ["a user, running a setuid-root program", [1000, 1000], [0, 0], "proxmox", Errno.EPERM],
  [
    "root's daemon with the effective ids of www-data, whose other processes share its rings",
    [0, 0],
    [33, 33],
    "proxmox",
    "read-only",
  ],
  // Accepted, as by libqb; its rings belong to root, because uid 1000 has no permissions here.
  [
    "root's daemon with the effective ids of a user who has no access",
    [0, 0],
    [1000, 1000],
    "proxmox",
    Errno.EACCES,
  ],
  ["a user, running a setgid-www-data program", [1000, 1000], [1000, 33], "by-group", Errno.EPERM],
  [
    "a member of www-data with another effective group",
    [1000, 33],
    [1000, 1000],
    "by-group",
    "read-write",
  ],
  ["root with www-data as its real group", [0, 33], [0, 0], "by-group", "read-write"],
];

for (const [who, real, effective, policy, outcome] of CASES) {
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
