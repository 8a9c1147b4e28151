/**
 * Files of one node below /etc/pve/soak/NODE: written, replaced, renamed, removed and read again,
 * with a model of what was acknowledged; files of the other nodes read and checked; locks taken.
 * Paths are relative to the mount, so that nothing is ever written below a mount that is gone.
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

/** Replaced by rename: complete for every reader. And those that are written in place. */
const REPLACED = Array.from({ length: 12 }, (_, at) => `r${at}`);
const IN_PLACE = Array.from({ length: 6 }, (_, at) => `w${at}`);
const LOCKS = 3;
const SIZES = [0, 100, 700, 4096, 20_000, 60_000];

/**
 * The server is away, or the cluster takes no changes (EPERM: not quorate on arrival): what was
 * asked for may have happened or not.
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

/** A file as it was acknowledged: which content, undefined for none. */
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

  /** Runs a change of `names`; when its outcome is open they are unknown until `check`. */
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

  #failed(what: string, error: unknown): void {
    const code = errnoCode(error);
    if (AWAY.has(code)) this.#journal.incident(`${what}: ${code}`);
    else this.#journal.fault(`${what}: ${String(error)}`);
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

  /** The bytes, undefined when there is no such file, "away" when nobody can say. */
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
    // Another server, with another tree, may have come meanwhile; then check() judges.
    if (bytes === "away" || known !== this.#known.get(name)) return;
    this.#journal.count("own file read");
    const differs = this.#difference(known, bytes);
    if (differs !== undefined) this.#journal.incident(`own ${name} ${differs}`);
  }

  /** How what is there differs from what was acknowledged. */
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

  /** At rest: which acknowledged changes are not there. What was open is known again afterwards. */
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
      // What a killed write left has no number.
      if (wrong !== undefined) await unlink(path);
      const isWhole = bytes !== undefined && wrong === undefined;
      const number = isWhole ? Number(bytes.toString("latin1", 0, 64).split(" ")[1]) : undefined;
      this.#learn(name, number, isWhole ? bytes.byteLength : 0);
    }
    return losses;
  }

  /** Makes the directories; and removes locks whose holder was ended. */
  async prepare(): Promise<void> {
    await mkdir("priv/lock", { recursive: true });
    await mkdir(`soak/${this.#node}`, { recursive: true });
  }

  async unlock(): Promise<void> {
    for (let lock = 0; lock < LOCKS; lock++) await rmdir(`priv/lock/soak-${lock}`).catch(() => {});
  }
}
