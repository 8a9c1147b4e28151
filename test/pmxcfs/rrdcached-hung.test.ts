/** An rrdcached that hangs and has as many connections waiting as there may be. */
import { expect, test } from "bun:test";
import { Rrdcached } from "../../src/pmxcfs/rrd/rrdcached.ts";
import { listenFull } from "../support/full-listener.ts";
import { TempDirectory } from "./support.ts";

test("a daemon that hangs with a full queue of connections is not absent", async () => {
  using directory = new TempDirectory();
  const socketPath = directory.at("rrdcached.sock");
  await using hung = await listenFull(socketPath);
  const daemon = new Rrdcached({ socketPath });
  expect(await daemon.exchange("X\n", 1)).toMatchObject({ reason: "it hangs", isAbsent: false });
  await hung.kill();
  expect(await daemon.exchange("X\n", 1)).toMatchObject({ isAbsent: true });
  daemon.close();
});
