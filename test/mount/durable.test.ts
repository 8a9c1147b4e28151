/**
 * `--sync full`: a change is on the disk before it is answered. Seen in the server's system calls:
 * at each answer to the kernel, every file has been synced since it was written last.
 */
import { describe, expect } from "bun:test";
import { noPrivateNode, PrivateNode } from "../support/private-node.ts";
import { testUnless } from "../support/unless.ts";

const testTraced = testUnless(
  noPrivateNode() ?? (Bun.which("strace") === null ? "needs strace" : undefined),
);

/** Changes files while strace writes the server's system calls to stdout. */
const TRACED = `
server=$(pgrep -x pmxcfs)
calls=pwrite64,write,writev,fsync,fdatasync
strace -f -y -qq -e trace=$calls -o /run/trace -p $server & tracer=$!
for i in $(seq 500); do
  grep -q '^TracerPid:[[:space:]]*[1-9]' /proc/$server/status && break
  sleep 0.02
done
cd /etc/pve
mkdir d; echo one >d/a; echo two >>d/a; mv d/a d/b; truncate -s 100 d/b; touch d/c
rm d/b d/c; rmdir d
kill -INT $tracer; wait $tracer 2>/dev/null
cat /run/trace
`;

interface Seen {
  /** Files synced before an answer, as often as that happened. */
  readonly synced: string[];
  /** The same of files that were written and not synced. */
  readonly unsynced: string[];
}

/** What was written and synced between the answers, by name of the file. */
function filesOf(trace: string): Seen {
  const seen: Seen = { synced: [], unsynced: [] };
  const dirty = new Set<string>();
  let clean: string[] = [];
  for (const line of trace.split("\n")) {
    const [, call = "", path = ""] = /^\d+ +(\w+)\(\d+<([^>]*)>/.exec(line) ?? [];
    const name = path.split("/").at(-1) ?? "";
    if (path === "/dev/fuse") {
      seen.synced.push(...clean);
      seen.unsynced.push(...dirty);
      clean = [];
      dirty.clear();
    } else if (name.startsWith("config.db")) {
      if (!call.includes("sync")) dirty.add(name);
      else if (dirty.delete(name)) clean.push(name);
    }
  }
  return seen;
}

async function changesWith(...options: readonly string[]): Promise<Seen> {
  await using node = await PrivateNode.start();
  const server = await node.serve("pmxcfs", "-l", "-f", "--history", "off", ...options);
  const seen = filesOf(await node.sh(TRACED));
  expect(await node.stop(server)).toBe(0);
  return seen;
}

/** Changes of the script: mkdir, two creates and writes, rename, truncate, two removals, rmdir. */
const LEAST_CHANGES = 9;

describe("a change is on the disk before its answer", () => {
  testTraced("with --commit each", async () => {
    const { synced, unsynced } = await changesWith("--sync", "full");
    expect(unsynced).toEqual([]);
    expect(synced.filter((name) => name === "config.db-wal").length).toBeGreaterThanOrEqual(
      LEAST_CHANGES,
    );
  });

  testTraced("with --commit batched", async () => {
    const { synced, unsynced } = await changesWith("--sync", "full", "--commit", "batched");
    expect(unsynced).toEqual([]);
    expect(synced.filter((name) => name === "config.db.changes").length).toBeGreaterThanOrEqual(
      LEAST_CHANGES,
    );
  });

  testTraced("and not with --sync normal, as in C", async () => {
    const { synced, unsynced } = await changesWith();
    expect(synced).toEqual([]);
    expect(unsynced.length).toBeGreaterThanOrEqual(LEAST_CHANGES);
  });
});
