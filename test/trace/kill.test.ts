/** A tracer that root runs keeps its own ids: its clients' users cannot signal it. */
import { expect } from "bun:test";
import { QbClient } from "../../src/client/qb-client.ts";
import { mayUseOtherIds } from "../../src/platform/socket.ts";
import { SOURCES } from "../compat/run-compat.ts";
import { native } from "../support/native.ts";
import { startService } from "../support/service.ts";
import { testUnless } from "../support/unless.ts";

const WWW_DATA = { uid: 33, gid: 33 };

/** Number of the attacker's tries; they take a second or two. */
const TRIES = 50_000;

/** Connections at least, while the attacker tries. */
const CONNECTIONS = 20;

const ATTACK = `i=0
while [ $i -lt ${TRIES} ]; do kill -9 "$1" 2>/dev/null && exit 7; i=$((i + 1)); done`;

const why = mayUseOtherIds() ? undefined : "needs root";

testUnless(why)(
  "a client's user cannot kill the tracer while it connects as that user",
  async () => {
    await using server = await startService((name) => [
      native("qb-control-server"),
      name,
      "--accept-any",
    ]);
    await using tracer = await startService((name) => {
      return [...SOURCES, "trace", "--socket", name, "--upstream", server.name];
    });
    const words = [
      "--reuid",
      "33",
      "--regid",
      "33",
      "--clear-groups",
      "sh",
      "-c",
      ATTACK,
      "attack",
    ];
    // Again if the attacker, which never sleeps, was done before enough connections were made.
    for (let connected = 0; connected <= CONNECTIONS;) {
      const attacker = Bun.spawn(["setpriv", ...words, String(tracer.pid)], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      while (attacker.exitCode === null && attacker.signalCode === null) {
        const client = await QbClient.connect(tracer.name, { identity: WWW_DATA, timeoutMs: 5000 });
        expect(client).toBeInstanceOf(QbClient);
        if (client instanceof QbClient) client.close();
        connected++;
      }
      expect(await attacker.exited).toBe(0);
    }
  },
  60_000,
);
