/** The memory of /dev/shm that is reserved for root's connections. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { QbFailure } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { EMPTY_REPLY, type Handler } from "../../src/ipc/handler.ts";
import { shmSpace } from "../../src/ipc/options.ts";
import { Service } from "../../src/ipc/service.ts";
import { connectionBytes } from "../../src/shm/ring-set.ts";
import { needRoot, WWW_DATA } from "../support/identity.ts";
import { uniqueName } from "../support/service.ts";

/** Large, so that other users of /dev/shm make no difference. */
const MESSAGE_BYTES = 4 * 1024 * 1024;

test("clients that connect all at once do not get what is reserved for root", async () => {
  needRoot();
  const { freeBytes } = shmSpace();
  const handler: Handler = { authenticate: () => "read-only", handle: () => EMPTY_REPLY };
  const service = Service.start(uniqueName(), handler, {
    log: silentLog,
    shmRootReserveBytes: freeBytes - 4.5 * connectionBytes(MESSAGE_BYTES),
    shmBytesPerUid: freeBytes,
    // One in each turn: the others are in the queue meanwhile.
    setUpMsPerTurn: 0.001,
    pooledRings: 0,
  });
  if (!(service instanceof Service)) throw new Error(service.message);
  const options = { maxMessageBytes: MESSAGE_BYTES, identity: WWW_DATA };
  const connecting = Array.from({ length: 12 }, () => QbClient.begin(service.name, options));
  // Each sends its set-up request before the server reads the first one.
  for (const each of connecting) expect(each.now(0)).toBeUndefined();
  const results = await Promise.all(connecting.map((each) => each.later(20_000)));
  const clients = results.filter((result) => result instanceof QbClient);
  const failures = results.filter((result) => result instanceof QbFailure);
  const root = await QbClient.connect(service.name, { maxMessageBytes: MESSAGE_BYTES });
  for (const client of [...clients, root]) if (client instanceof QbClient) client.close();
  await service.stop();
  expect(clients.length).toBeWithin(1, 7);
  expect(new Set(failures.map(({ errno }) => errno))).toEqual(new Set([Errno.ENOSPC]));
  expect(root).toBeInstanceOf(QbClient);
}, 60_000);
