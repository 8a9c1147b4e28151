/**
 * The requests of one node's IPC clients: sets and reads keys, reads files of all nodes and checks
 * every byte, floods the cluster log.
 */
import { Errno } from "../../../src/base/errno.ts";
import { QbFailure } from "../../../src/client/failure.ts";
import { type Answer, CfsClient } from "../../../src/pmxcfs/client/cfs-client.ts";
import type { ClusterLogEntry } from "../../../src/pmxcfs/requests/rows/get-cluster-log.ts";
import { contentOf, wrongIn } from "./content.ts";
import type { Journal } from "./journal.ts";

const KEYS = 4;
/** IPC clients of one node. */
export const IPC_CLIENTS = 2;
const FILES = 12;
const FLOOD = 60;
const LOG_ENTRIES = 2000;
const CALL_MS = 10_000;
const TAG = "soak";
const MARK = "mark";
const MARKS = 20;
const MESSAGE = /^\w+ \d+ x{100}$/;

function keysOf(client: number): string[] {
  return Array.from({ length: KEYS }, (_, at) => `soak-${client}-${at}`);
}

function below(count: number): number {
  return Math.floor(Math.random() * count);
}

export class IpcLoad implements Disposable {
  readonly #keys: readonly string[];
  readonly #node: string;
  readonly #nodes: readonly string[];
  readonly #journal: Journal;
  readonly #client = new CfsClient("pve2", { timeoutMs: CALL_MS });
  readonly #own = new Map<string, Buffer>();
  #number = 0;

  /** `client`: its number, below IPC_CLIENTS; each sets keys of its own. */
  constructor(client: number, node: string, nodes: readonly string[], journal: Journal) {
    this.#keys = keysOf(client);
    this.#node = node;
    this.#nodes = nodes;
    this.#journal = journal;
  }

  /** One step; never throws. */
  async step(): Promise<void> {
    const kind = below(10);
    if (kind === 0) await this.#flood();
    else if (kind < 4) await this.#setKey();
    else if (kind < 7) await this.#readKey();
    else await this.#readFile();
  }

  /** The answer; if there was none, records an incident and returns undefined. */
  #result<T>(step: string, answer: Answer<T>): T | Errno | undefined {
    this.#journal.count(step);
    if (!(answer instanceof QbFailure)) return answer;
    this.#journal.incident(`${step}: ${answer.toString()}`);
    this.#own.clear();
    return undefined;
  }

  async #setKey(key = this.#keys[below(KEYS)] ?? ""): Promise<void> {
    const value = contentOf(this.#node, ++this.#number, [100, 900, 20_000][below(3)] ?? 100);
    const done = this.#result("key set", await this.#client.setStatus(key, value));
    if (done === true) this.#own.set(key, value);
    else if (done !== undefined) this.#journal.fault(`setting ${key}: errno ${String(done)}`);
  }

  async #readKey(): Promise<void> {
    const key = this.#keys[below(KEYS)] ?? "";
    const node = this.#nodes[below(this.#nodes.length)] ?? this.#node;
    const own = node === this.#node ? this.#own.get(key) : undefined;
    const value = this.#result("key read", await this.#client.getStatus(key, node));
    if (value === undefined) return;
    if (typeof value === "number") {
      if (value !== Errno.ENOENT) this.#journal.fault(`${key} of ${node}: errno ${value}`);
      else if (own !== undefined) this.#journal.incident(`own ${key} is gone`);
      return;
    }
    const wrong = wrongIn(value);
    if (wrong !== undefined) this.#journal.fault(`${key} of ${node}: ${wrong}`);
    else if (own?.equals(value) === false) this.#journal.fault(`own ${key} has another value`);
  }

  async #readFile(): Promise<void> {
    const path = `soak/${this.#nodes[below(this.#nodes.length)]}/r${below(FILES)}`;
    const bytes = this.#result("file request", await this.#client.getConfig(path));
    if (bytes === undefined || bytes === Errno.ENOENT) return;
    const wrong = typeof bytes === "number" ? `errno ${bytes}` : wrongIn(bytes);
    if (wrong !== undefined) this.#journal.fault(`${path} by IPC: ${wrong}`);
  }

  async #flood(): Promise<void> {
    const message = `${this.#node} ${++this.#number} ${"x".repeat(100)}`;
    for (let at = 0; at < FLOOD; at++) {
      const entry = { user: `root@pam`, tag: TAG, message };
      const done = this.#result("log entry", await this.#client.logClusterMessage(entry));
      if (done === undefined) return;
      if (done !== true) this.#journal.fault(`a log entry: errno ${String(done)}`);
    }
    const entries = this.#result("log read", await this.#client.getClusterLog({ max: 100 }));
    if (entries === undefined || typeof entries === "number") return;
    for (const { tag, msg } of entries) {
      if (tag === TAG && !MESSAGE.test(msg)) this.#journal.fault(`a log entry reads ${msg}`);
    }
  }

  /** Sets all keys: a new server has none, while other nodes keep the old ones, as with C. */
  async setAll(): Promise<void> {
    for (const name of this.#keys) await this.#setKey(name);
  }

  /**
   * Logs entries after all floods. A node's own entries are in its log before they are sent (as
   * with C): the order of entries, and those that a full log has dropped, differ between nodes
   * until the next synchronisation.
   */
  async mark(round: number): Promise<void> {
    for (let at = 0; at < MARKS; at++) {
      const message = `${round} ${this.#node} ${at}`;
      await this.#client.logClusterMessage({ user: "root@pam", tag: MARK, message });
    }
  }

  /** All keys of all nodes, and the marks of a round, on this node: one text each. */
  async state(round: number): Promise<{ readonly keys: string; readonly marks: string }> {
    const keys: string[] = [];
    const names = Array.from({ length: IPC_CLIENTS }, (_, client) => keysOf(client)).flat();
    for (const node of this.#nodes) {
      for (const name of names) {
        const value = await this.#client.getStatus(name, node);
        const text = value instanceof Buffer ? value.toString("latin1", 0, 64) : String(value);
        keys.push(`${node} ${name} ${text.split("\n")[0]}`);
      }
    }
    const marks = (await this.#entries())
      .filter(({ tag, msg }) => tag === MARK && msg.startsWith(`${round} `))
      .map(({ uid, time, node, msg }) => `${msg} (${node} ${time} ${uid})`);
    return { keys: keys.join("\n"), marks: marks.toSorted().join("\n") };
  }

  /** The whole cluster log, in its order. */
  async log(): Promise<string> {
    return (await this.#entries()).map((entry) => JSON.stringify(entry)).join("\n");
  }

  async #entries(): Promise<readonly ClusterLogEntry[]> {
    const entries = await this.#client.getClusterLog({ max: LOG_ENTRIES });
    if (typeof entries === "number" || entries instanceof QbFailure) {
      throw new Error(`the cluster log: ${String(entries)}`);
    }
    return entries;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}
