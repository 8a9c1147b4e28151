/** The commands that ask a server by a unix socket, when it hangs and its queue is full. */
import { expect, test } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { clusterSocketPath } from "../../src/observe/cluster-socket.ts";
import { statusPath } from "../../src/observe/status.ts";
import { tracePathOf } from "../../src/daemon/node/trace-socket.ts";
import { TempDirectory } from "../pmxcfs/support.ts";
import { listenFull } from "../support/full-listener.ts";
import { program, uniqueName } from "../support/service.ts";

const FULL = "the server hangs or is stopped: its queue of connections is full";

for (const [words, pathOf] of [
  [["cluster", "watch", "--socket"], clusterSocketPath],
  [["trace", "--fuse", "--upstream"], tracePath],
  [["top", "--socket"], statusPath],
] as const) {
  test(`${words[0]} says that the server hangs, not that it is absent`, async () => {
    using directory = new TempDirectory();
    const service = uniqueName();
    const env = { ...process.env, XDG_RUNTIME_DIR: directory.path };
    const path = pathOf(service, env, process.getuid?.()) ?? "";
    mkdirSync(dirname(path), { recursive: true });
    using _socket = { [Symbol.dispose]: () => rmSync(path, { force: true }) };
    await using _server = await listenFull(path);
    const ran = Bun.spawnSync([...program(), ...words, service], { env });
    expect(ran.stderr.toString()).toContain(FULL);
    expect(ran.exitCode).toBe(1);
  });
}

function tracePath(...words: Parameters<typeof statusPath>): string {
  return tracePathOf(statusPath(...words) ?? "");
}
