/**
 * A server that is not root may not give files away: it shares rings by access lists, else by
 * groups, and else reports the problem. It needs no passwd entry and no home directory.
 */
import { expect, setDefaultTimeout } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { eventually } from "../support/eventually.ts";
import { type Identity, NOBODY, ROOT, WWW_DATA } from "../support/identity.ts";
import { LineProcess } from "../support/lines.ts";
import { native } from "../support/native.ts";
import { echoCommand, type Service, startService } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";

setDefaultTimeout(60_000);

const asRoot = testUnless(process.getuid?.() === 0 ? undefined : "needs root, to be others");

/** A uid without a passwd entry. */
const UID = 54_321;

/** An echo server with that uid and its own /dev/shm of this file system. */
async function serve(filesystem: string, ...groups: number[]): Promise<Service> {
  const mount = `mount -t ${filesystem} none /dev/shm && chmod 1777 /dev/shm && exec "$@"`;
  const drop = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`];
  drop.push(groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`);
  const isolate = ["unshare", "-m", "sh", "-c", mount, "sh", ...drop, "env", "-i"];
  return await startService((name) => [...isolate, ...echoCommand(name)]);
}

/** 0 if a request was answered, else the errno of the connect. */
async function fares(server: Service, { uid, gid }: Identity): Promise<number> {
  const enter = ["nsenter", "-t", String(server.pid), "-m", "--"];
  const identity = ["--uid", String(uid), "--gid", String(gid)];
  const command = [...enter, native("qb-client"), server.name, ...identity];
  await using client = new LineProcess<{ res: number; error?: number; body?: string }>(command);
  const { res } = await client.next();
  if (res !== 0) return res;
  expect(await client.ask("sendrecv 1 0badcafe")).toMatchObject({ error: 0, body: "0badcafe" });
  return 0;
}

asRoot("with access lists every uid that is let in gets its rings", async () => {
  await using server = await serve("tmpfs");
  for (const who of [ROOT, WWW_DATA, NOBODY, { uid: UID, gid: UID }, { uid: UID, gid: 33 }]) {
    expect(await fares(server, who)).toBe(0);
  }
  expect(server.output).not.toContain("warning");
  expect(await server.stop()).toBe(0);
});

asRoot("without them root, its own uid and its groups get theirs, others a reason", async () => {
  await using server = await serve("ramfs", WWW_DATA.gid);
  await eventually("a warning at the start", () => server.output.includes("no access lists"));
  expect(server.output).toMatch(/warning: .*uid 54321 may not give files to others.*--allow-uid/);
  for (const who of [ROOT, WWW_DATA, { uid: UID, gid: UID }, { uid: UID, gid: 33 }]) {
    expect(await fares(server, who)).toBe(0);
  }
  expect(await fares(server, NOBODY)).toBe(Errno.EPERM);
  await eventually("the refusal", () => /cannot make rings .* uid 65534/.test(server.output));
  expect(server.output).toContain("--allow-uid 65534 alone does not help: run the server as root");
  expect(await server.stop()).toBe(0);
});
