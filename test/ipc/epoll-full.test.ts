/** A peer whose socket cannot be watched because epoll_ctl(2) fails. */
import { expect, spyOn, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { silentLog } from "../../src/base/log.ts";
import { QbFailure } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { Service } from "../../src/ipc/service.ts";
import { SocketLoop } from "../../src/ipc/setup/socket-loop.ts";
import { uniqueName } from "../support/service.ts";

test("a peer whose socket cannot be watched leaves its place to the next one", async () => {
  const ended: number[] = [];
  const connected: number[] = [];
  const name = uniqueName("epoll-full");
  const service = Service.start(
    name,
    {
      authenticate: () => "read-write",
      handle: ({ span }) => span.bytes.subarray(span.at, span.at + span.size),
      connected: ({ number }) => void connected.push(number),
      disconnected: ({ number }) => void ended.push(number),
    },
    { connections: 1, rootReserve: 0, log: silentLog },
  );
  if (!(service instanceof Service)) throw new Error(service.message);
  const add = spyOn(SocketLoop.prototype, "add").mockReturnValue(Errno.ENOSPC);
  const refused = await QbClient.connect(name, { timeoutMs: 5000 });
  expect(refused).toBeInstanceOf(QbFailure);
  expect(add).toHaveBeenCalledTimes(1);
  add.mockRestore();
  const client = await QbClient.connect(name, { timeoutMs: 5000 });
  if (client instanceof QbFailure) throw new Error(client.toString());
  client.close();
  await service.stop();
  expect(ended).toEqual(connected);
});
