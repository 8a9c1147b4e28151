/** Changes of a node without a cluster that wait for the lock of the database. */
import { expect, test } from "bun:test";
import { Errno } from "../../src/base/errno.ts";
import { LocalReplicator } from "../../src/pmxcfs/replication/local.ts";
import { Memdb } from "../../src/pmxcfs/state/memdb.ts";
import type { TreeCommand } from "../../src/pmxcfs/state/tree-command.ts";
import type { TreeStore } from "../../src/pmxcfs/store/tree-store.ts";

const CHANGES = 60;

/** A store that is locked at first; a change takes a millisecond. */
function slowStore() {
  const state = { isLocked: true, isEmptying: false, applied: [] as string[] };
  const tree = {
    memdb: new Memdb(),
    storage: state,
    apply({ path }: TreeCommand): number {
      if (state.isLocked) return Errno.EBUSY;
      for (const until = performance.now() + 1; performance.now() < until;);
      state.applied.push(path);
      return 0;
    },
  };
  return { state, tree: tree as unknown as TreeStore };
}

test("changes that waited are applied in order, a few in each turn of the event loop", async () => {
  const { state, tree } = slowStore();
  const status = { set: (): 0 => 0 };
  const replicator = new LocalReplicator({ tree, status, clusterLog: { add: () => {} } });
  const paths = Array.from({ length: CHANGES }, (_, at) => `d${at}`);
  const answers = paths.map(async (path) => await replicator.propose({ kind: "mkdir", path }));
  state.isLocked = false;
  let most = 0;
  while (state.applied.length < CHANGES) {
    const before = state.applied.length;
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, state.applied.length - before);
  }
  expect(most).toBeLessThan(5);
  expect(await Promise.all(answers)).toEqual(paths.map(() => 0));
  expect(state.applied).toEqual(paths);
  // A later change does not wait.
  expect(replicator.propose({ kind: "mkdir", path: "after" })).toBe(0);
});

test("a change that is proposed while others are being applied comes after them", async () => {
  const { state, tree } = slowStore();
  const status = { set: (): 0 => 0 };
  const replicator = new LocalReplicator({ tree, status, clusterLog: { add: () => {} } });
  const paths = Array.from({ length: 10 }, (_, at) => `d${at}`);
  const answers = paths.map(async (path) => await replicator.propose({ kind: "mkdir", path }));
  state.isLocked = false;
  while (state.applied.length === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(await replicator.propose({ kind: "mkdir", path: "late" })).toBe(0);
  expect(await Promise.all(answers)).toEqual(paths.map(() => 0));
  expect(state.applied).toEqual([...paths, "late"]);
});

test("at a stop a change that still waits is neither made nor answered", async () => {
  const { state, tree } = slowStore();
  const status = { set: (): 0 => 0 };
  const replicator = new LocalReplicator({ tree, status, clusterLog: { add: () => {} } });
  const answers: number[] = [];
  const answer = Promise.resolve(replicator.propose({ kind: "mkdir", path: "d" }));
  void answer.then((outcome) => answers.push(outcome));
  replicator[Symbol.dispose]();
  // Its attempts come after those of the first, at the same interval.
  const other = new LocalReplicator({ tree, status, clusterLog: { add: () => {} } });
  const later = other.propose({ kind: "mkdir", path: "later" });
  state.isLocked = false;
  expect(await later).toBe(0);
  expect(answers).toEqual([]);
  expect(state.applied).toEqual(["later"]);
});

test("a change waits for our own checkpoint as long as it takes, for others 3 s", async () => {
  const [checkpointed, locked] = [slowStore(), slowStore()];
  const status = { set: (): 0 => 0 };
  const options = { status, clusterLog: { add: () => {} } };
  const patient = new LocalReplicator({ ...options, tree: checkpointed.tree });
  const other = new LocalReplicator({ ...options, tree: locked.tree });
  checkpointed.state.isEmptying = true;
  const answers = ["a", "b"].map(async (path) => await patient.propose({ kind: "mkdir", path }));
  expect(await other.propose({ kind: "mkdir", path: "a" })).toBe(Errno.EIO);
  // By now they have waited for as long. Their time begins when the checkpoint has ended.
  checkpointed.state.isEmptying = false;
  const late = other.propose({ kind: "mkdir", path: "b" });
  locked.state.isLocked = false;
  expect(await late).toBe(0);
  checkpointed.state.isLocked = false;
  expect(await Promise.all(answers)).toEqual([0, 0]);
  expect(checkpointed.state.applied).toEqual(["a", "b"]);
});
