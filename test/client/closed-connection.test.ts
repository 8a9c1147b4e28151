/** A connection that is closed ends its pending calls, and connects no more. */
import { expect, test } from "bun:test";
import { QbFailure } from "../../src/client/failure.ts";
import { QbClient } from "../../src/client/qb-client.ts";
import { PveConnection } from "../../src/pmxcfs/client/pve-connection.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/service.ts";
import { FakeServer } from "./fake-server.ts";

const kindOf = (response: unknown) => response instanceof QbFailure && response.kind;

test("a call that waits for its response fails, and is not sent again", async () => {
  let requests = 0;
  using server = new FakeServer(uniqueName(), { instead: () => void requests++ });
  const connection = new PveConnection(server.name);
  const pending = connection.sendRecv(4);
  await eventually("the request has arrived", () => requests === 1);
  connection.close();
  expect(kindOf(await pending)).toBe("disconnected");
  expect(kindOf(await connection.sendRecv(4))).toBe("disconnected");
  expect(connection.client).toBeUndefined();
  expect(requests).toBe(1);
});

test("a call that waits for the connection fails, and the connection is closed", async () => {
  let requests = 0;
  using server = new FakeServer(uniqueName(), { instead: () => void requests++ });
  const connection = new PveConnection(server.name);
  const made: QbClient[] = [];
  const { connect } = QbClient;
  QbClient.connect = async (...given) => {
    const client = await connect.apply(QbClient, given);
    if (client instanceof QbClient) made.push(client);
    return client;
  };
  try {
    const pending = connection.sendRecv(4);
    connection.close();
    expect(kindOf(await pending)).toBe("disconnected");
  } finally {
    QbClient.connect = connect;
  }
  expect(connection.client).toBeUndefined();
  expect(made.map(({ connected }) => connected)).toEqual([false]);
  expect(requests).toBe(0);
});
