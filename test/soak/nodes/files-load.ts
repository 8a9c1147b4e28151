/**
 * The load of one node on files: writes, replaces, renames, removes and reads its files below
 * /etc/pve/soak/NODE, with a model of the acknowledged changes; reads and checks files of the other
 * nodes; takes locks. Paths are relative to the mount, so that no file is made when it is absent.
 */
import {
  type FileHandle,
  mkdir,
  open,
  readFile,
  rename,
  rmdir,
  unlink,
  writeFile,
} from "node:fs/promises";
import { contentOf, wrongIn } from "./content.ts";
import type { Journal, Loss } from "./journal.ts";

/** Files that are replaced by rename: each reader gets a complete content. */
const REPLACED = Array.from({ length: 12 }, (_, at) => `r${at}`);
/** Files that are written in place. */
const IN_PLACE = Array.from({ length: 6 }, (_, at) => `w${at}`);
const LOCKS = 3;
const SIZES = [0, 100, 700, 4096, 20_000, 60_000];

/**
 * Errors of a server that is absent, or of a cluster that accepts no changes (EPERM: not quorate
 * on arrival). The change may have been made or not.
 */
const AWAY = new Set([
  "EACCES",
  "EPERM",
  "EBUSY",
  "EIO",
  "ENOTCONN",
  "ECONNABORTED",
  "EINTR",
  "ENODEV",
]);

/** The acknowledged state of a file: the number of its content, undefined if it does not exist. */
interface Known {
  readonly number: number | undefined;
  readonly size: number;
  readonly at: number;
}

/** The name of a failed call's errno. */
function errnoCode(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}

export class FilesLoad {
  readonly #node: string;
  readonly #others: readonly string[];
  readonly #journal: Journal;
  readonly #known = new Map<string, Known>();
  #number = 0;

  constructor(node: string, nodes: readonly string[], journal: Journal) {
    this.#node = node;
    this.#others = nodes.filter((other) => other !== node);
    this.#journal = journal;
    for (const name of [...REPLACED, ...IN_PLACE]) this.#learn(name, undefined, 0);
  }

  #path(name: string, node = this.#node): string {
    return `soak/${node}/${name}`;
  }

  #learn(name: string, number: number | undefined, size: number): void {
    this.#known.set(name, { number, size, at: Date.now() });
  }

  /** One step; never throws. */
  async step(): Promise<void> {
    const steps = [
      () => this.#replace(pick(REPLACED)),
      () => this.#replace(pick(REPLACED)),
      () => this.#writeInPlace(pick(IN_PLACE)),
      () => this.#rename(pick(REPLACED), pick(REPLACED)),
      () => this.#remove(pick([...REPLACED, ...IN_PLACE])),
      () => this.#readOwn(pick([...REPLACED, ...IN_PLACE])),
      () => this.#readOther(),
      () => this.#lock(),
    ];
    await pick(steps)();
  }

  /** Runs a change of `names`; if it fails, their state is unknown until `check`. */
  async #change(
    kind: string,
    names: readonly string[],
    change: () => Promise<void>,
  ): Promise<void> {
    if (names.some((name) => !this.#known.has(name))) return;
    try {
      await change();
      this.#journal.count(kind);
    } catch (error) {
      for (const name of names) this.#known.delete(name);
      this.#failed(`${kind} ${names.join(" ")}`, error);
    }
  }

  #failed(step: string, error: unknown): void {
    const code = errnoCode(error);
    if (AWAY.has(code)) this.#journal.incident(`${step}: ${code}`);
    else this.#journal.fault(`${step}: ${String(error)}`);
  }

  #next(): { readonly number: number; readonly bytes: Buffer } {
    const number = ++this.#number;
    return { number, bytes: contentOf(this.#node, number, pick(SIZES)) };
  }

  async #replace(name: string): Promise<void> {
    const { number, bytes } = this.#next();
    await this.#change("replace", [name], async () => {
      await writeFile(this.#path(`${name}.tmp`), bytes);
      await rename(this.#path(`${name}.tmp`), this.#path(name));
      this.#learn(name, number, bytes.byteLength);
    });
  }

  async #writeInPlace(name: string): Promise<void> {
    const { number, bytes } = this.#next();
    await this.#change("write", [name], async () => {
      await writeFile(this.#path(name), bytes);
      this.#learn(name, number, bytes.byteLength);
    });
  }

  async #rename(name: string, to: string): Promise<void> {
    const known = this.#known.get(name);
    if (known?.number === undefined || name === to) return;
    const { number, size } = known;
    await this.#change("rename", [name, to], async () => {
      await rename(this.#path(name), this.#path(to));
      this.#learn(name, undefined, 0);
      this.#learn(to, number, size);
    });
  }

  async #remove(name: string): Promise<void> {
    if (this.#known.get(name)?.number === undefined) return;
    await this.#change("remove", [name], async () => {
      await unlink(this.#path(name));
      this.#learn(name, undefined, 0);
    });
  }

  /** The bytes; undefined if there is no such file; "away" after any other error. */
  async #read(path: string): Promise<Buffer | undefined | "away"> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, "r");
      return await file.readFile();
    } catch (error) {
      if (errnoCode(error) === "ENOENT") return undefined;
      this.#failed(`read ${path}`, error);
      return "away";
    } finally {
      await file?.close().catch(() => {});
    }
  }

  async #readOwn(name: string): Promise<void> {
    const known = this.#known.get(name);
    if (known === undefined) return;
    const bytes = await this.#read(this.#path(name));
    if (bytes === "away") return;
    this.#journal.count("own file read");
    // An incident, no fault: a restarted server may show an older tree until it has synchronised.
    const differs = this.#difference(known, bytes);
    if (differs !== undefined) this.#journal.incident(`own ${name} ${differs}`);
  }

  /** The difference between the bytes of a file and its acknowledged state. */
  #difference({ number, size }: Known, bytes: Buffer | undefined): string | undefined {
    if (number === undefined) return bytes === undefined ? undefined : "is there, and was removed";
    if (bytes === undefined) return `is gone, and had content ${number}`;
    if (bytes.equals(contentOf(this.#node, number, size))) return undefined;
    return `has ${JSON.stringify(bytes.toString("latin1", 0, 24))}, not content ${number}`;
  }

  async #readOther(): Promise<void> {
    if (this.#others.length === 0) return;
    const path = this.#path(pick(REPLACED), pick(this.#others));
    const bytes = await this.#read(path);
    if (bytes === undefined || bytes === "away") return;
    this.#journal.count("others' file read");
    const wrong = wrongIn(bytes);
    if (wrong !== undefined) this.#journal.fault(`${path}: ${wrong}`);
  }

  async #lock(): Promise<void> {
    const lock = `priv/lock/soak-${Math.floor(Math.random() * LOCKS)}`;
    try {
      await mkdir(lock);
    } catch (error) {
      if (errnoCode(error) !== "EEXIST") this.#failed(`lock ${lock}`, error);
      return;
    }
    const from = Date.now();
    await Bun.sleep(Math.random() * 40);
    const to = Date.now();
    try {
      await rmdir(lock);
      this.#journal.count("lock");
      this.#journal.held(lock, from, to);
    } catch (error) {
      this.#failed(`unlock ${lock}`, error);
    }
  }

  /** At rest: the acknowledged changes that are lost. After it the state of all files is known. */
  async check(): Promise<Loss[]> {
    const losses: Loss[] = [];
    for (const name of [...REPLACED, ...IN_PLACE]) {
      const path = this.#path(name);
      const bytes = await readFile(path).catch(() => undefined);
      const known = this.#known.get(name);
      const differs = known && this.#difference(known, bytes);
      if (known !== undefined && differs === undefined) continue;
      if (known !== undefined) losses.push({ at: known.at, what: `${path} ${differs}` });
      const wrong = bytes === undefined ? undefined : wrongIn(bytes);
      if (wrong !== undefined && REPLACED.includes(name)) this.#journal.fault(`${path}: ${wrong}`);
      // The content of an interrupted write has no number.
      if (wrong !== undefined) await unlink(path);
      const isWhole = bytes !== undefined && wrong === undefined;
      const number = isWhole ? Number(bytes.toString("latin1", 0, 64).split(" ")[1]) : undefined;
      this.#learn(name, number, isWhole ? bytes.byteLength : 0);
    }
    return losses;
  }

  /** Makes the directories. */
  async prepare(): Promise<void> {
    await mkdir("priv/lock", { recursive: true });
    await mkdir(`soak/${this.#node}`, { recursive: true });
  }

  /** Removes all locks: their owners may have been interrupted. */
  async unlock(): Promise<void> {
    for (let lock = 0; lock < LOCKS; lock++) await rmdir(`priv/lock/soak-${lock}`).catch(() => {});
  }
}
