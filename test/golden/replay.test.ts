/**
 * Every recorded request of the C server, sent by a libqb client to the program, with the tree in a
 * config.db and in a plain directory. In the recorded order, because answers depend on earlier
 * requests.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { counted } from "../../src/base/counted.ts";
import { QbClient, type Result } from "../support/qb-client.ts";
import { program, serveCommand, startService } from "../support/service.ts";
import { noRingsLeft } from "../support/shm.ts";
import { writeTree } from "../support/tree-files.ts";
import {
  type Answer,
  compare,
  groupByCheck,
  loadTree,
  loadVectors,
  type Vector,
} from "../support/vectors.ts";

setDefaultTimeout(120_000);

const NODE = "pve1";
const vectors = loadVectors();

let scratch: string;
let tree: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-replay-"));
  tree = join(scratch, "tree");
  writeTree(tree, [{ path: "", content: undefined }, ...loadTree()]);
});

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

/** The arguments of `serve` for each store; makes the store. */
const STORES = {
  "serve --dir": () => ["--dir", tree],
  "serve --db": () => {
    const file = join(scratch, "config.db");
    const made = Bun.spawnSync([...program(), "config", "import", tree, "--db", file]);
    if (!made.success) throw new Error(`config import: ${made.stderr.toString()}`);
    return ["--db", file];
  },
} as const;

for (const [store, make] of Object.entries(STORES)) {
  describe(store, () => {
    let answers: Map<Vector, Answer>;

    beforeAll(async () => {
      const server = await startService(serveCommand(...make(), "--node", NODE));
      try {
        answers = await replay(server.name);
      } finally {
        await server.stop();
      }
      await noRingsLeft(server.pid);
    });

    for (const [check, group] of groupByCheck(vectors)) {
      test(`the check ${check} passes for ${counted(group.length, "vector")}`, () => {
        const wrong = group.flatMap((vector) => {
          const answer = answers.get(vector);
          return answer === undefined
            ? [`${vector.name}: not sent`]
            : (compare(vector, answer) ?? []);
        });
        expect(wrong.join("\n")).toBe("");
      });
    }
  });
}

/** Sends all vectors. Vectors with the same connection name share one; others have their own. */
async function replay(service: string): Promise<Map<Vector, Answer>> {
  const answers = new Map<Vector, Answer>();
  const shared = new Map<string, QbClient>();
  for (const vector of vectors) {
    const { connection } = vector;
    const client = (connection && shared.get(connection)) || (await connect(service, vector));
    if (connection !== undefined) shared.set(connection, client);
    answers.set(vector, await ask(client, vector));
    if (connection === undefined) await client[Symbol.asyncDispose]();
  }
  for (const client of shared.values()) await client[Symbol.asyncDispose]();
  return answers;
}

async function connect(service: string, vector: Vector): Promise<QbClient> {
  const { uid, gid, maxMessageBytes, receiveBytes } = vector;
  return await QbClient.open(service, {
    uid,
    gid,
    ...(maxMessageBytes !== undefined && { maxMessageBytes }),
    ...(receiveBytes !== undefined && { receiveBytes }),
  });
}

async function ask(client: QbClient, vector: Vector): Promise<Answer> {
  if (client.connected.res !== 0) return { kind: "refused", errno: client.connected.res };
  return answerOf(await client.call(vector.id, vector.body, vector.headerSize));
}

function answerOf(result: Result): Answer {
  if (result.res < 0 || result.error === undefined) return { kind: "recv", errno: result.res };
  return { kind: "reply", error: result.error, body: Buffer.from(result.body ?? "", "hex") };
}
