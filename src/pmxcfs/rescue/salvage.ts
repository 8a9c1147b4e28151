/**
 * Places rows as files and directories: everything gets a name that a file can have and a place
 * below one directory. Two directories of one name become one; of two files the second gets its
 * inode in the name; rows without a place go below lost+found, as do those whose path would be too
 * deep or too long. Linear in the number of rows, whatever their shape.
 */
import { RowType, showInode, type Row } from "../store/tree-rows.ts";
import { readDatabase, type ReadDatabase } from "./read-database.ts";

/** A file or directory made from rows. */
export class SalvagedItem {
  /** Latin1; could be the name of a file. */
  readonly name: string;
  readonly parent: SalvagedItem | undefined;
  readonly kind: "file" | "directory";
  /** Its row; of two directories that became one, the first row. */
  readonly row: Row;
  readonly level: number;
  /** Bytes of the path. */
  readonly pathBytes: number;

  constructor(
    name: string,
    parent: SalvagedItem | undefined,
    kind: "file" | "directory",
    row: Row,
  ) {
    this.name = name;
    this.parent = parent;
    this.kind = kind;
    this.row = row;
    this.level = (parent?.level ?? 0) + 1;
    this.pathBytes = (parent?.pathBytes ?? 0) + 1 + name.length;
  }

  /** Names from the top. */
  get path(): readonly string[] {
    const names = [this.name];
    for (let at = this.parent; at !== undefined; at = at.parent) names.push(at.name);
    return names.toReversed();
  }
}

export interface Salvaged {
  /** In depth-first order: a directory is followed by everything below it. */
  readonly items: readonly SalvagedItem[];
  /** Entries whose name or place differs from their row, a line each. */
  readonly moved: readonly string[];
  readonly database: ReadDatabase;
}

const LOST = "lost+found";
const NAME_BYTES = 255;
/** Deeper directories go to lost+found: a descriptor is held for each level. */
const MAX_LEVELS = 128;
/** Longer paths go there, too: PATH_MAX is 4096, with the directory they are exported into. */
const PATH_BYTES = 3000;

/** True for a valid path component. */
function isName(name: string): boolean {
  const odd = name === "" || name === "." || name === ".." || name.length > NAME_BYTES;
  return !odd && !name.includes("/") && !name.includes("\0");
}

/** A valid name that contains the row's inode. */
function substitute(row: Row): string {
  const rest = row.name.replaceAll(/[/\0]/g, "_").slice(0, NAME_BYTES - 24);
  return `${showInode(row.wideInode ?? row.inode)}-${rest === "" ? "unnamed" : rest}`;
}

/** A place in the tree under construction. */
interface Place {
  readonly row: Row;
  readonly name: string;
  readonly kind: "file" | "directory";
  readonly children: Place[];
  /** By the names of rows. */
  readonly names: Map<string, Place>;
  /** Further directories of the same name that became part of this one. */
  readonly merged: Row[];
}

const NO_ROW: Row = {
  inode: 0,
  parent: 0,
  version: 0,
  writer: 0,
  mtime: 0,
  type: RowType.DIRECTORY,
  name: "",
  data: new Uint8Array(0),
};

function newPlace(row: Row, name: string, kind: Place["kind"]): Place {
  return { row, name, kind, children: [], names: new Map(), merged: [] };
}

class Placer {
  readonly #below = new Map<number, Row[]>();
  readonly #placed = new Set<Row>();
  readonly #root = newPlace(NO_ROW, "", "directory");
  readonly #lost: Place[] = [];
  readonly items: SalvagedItem[] = [];
  readonly moved: string[] = [];

  constructor(rows: readonly Row[]) {
    const inodes = new Set<number>();
    for (const row of rows) {
      if (row.inode === 0) continue;
      inodes.add(row.inode);
      const siblings = this.#below.get(row.parent);
      if (siblings === undefined) this.#below.set(row.parent, [row]);
      else siblings.push(row);
    }
    this.#fill(this.#root, this.#below.get(0) ?? []);
    // First the topmost rows without a directory, then what is left: cycles.
    for (const row of rows) if (!inodes.has(row.parent)) this.#lose(row);
    for (const row of rows) this.#lose(row);
    this.#list();
  }

  /** Places rows and all that lies below them; without recursion. */
  #fill(place: Place, rows: readonly Row[]): void {
    const ahead: [Place, readonly Row[]][] = [[place, rows]];
    for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
      const [above, children] = next;
      for (const row of children) {
        const inner = this.#placed.has(row) ? undefined : this.#add(above, row);
        if (inner !== undefined) ahead.push([inner, this.#below.get(row.inode) ?? []]);
      }
    }
  }

  /** Places one row; returns the directory to continue with. */
  #add(above: Place, row: Row): Place | undefined {
    this.#placed.add(row);
    const twin = above.names.get(row.name);
    const isDirectory = this.#isDirectory(row);
    if (isDirectory && row.data.length > 0) this.#addContent(above, row);
    if (isDirectory && twin?.kind === "directory") {
      twin.merged.push(row);
      return twin;
    }
    const name = isName(row.name) && twin === undefined ? row.name : substitute(row);
    const place = newPlace(row, name, isDirectory ? "directory" : "file");
    above.children.push(place);
    if (twin === undefined) above.names.set(row.name, place);
    return isDirectory ? place : undefined;
  }

  #isDirectory(row: Row): boolean {
    const hasChildren = (this.#below.get(row.inode)?.length ?? 0) > 0 && row.inode !== row.parent;
    return row.type === RowType.DIRECTORY || (hasChildren && row.data.length === 0);
  }

  /** Content of a directory row is kept as a file beside the directory. */
  #addContent(above: Place, row: Row): void {
    const content = { ...row, type: RowType.FILE };
    above.children.push(newPlace(content, `${substitute(row)}.content`, "file"));
  }

  #lose(row: Row): void {
    if (row.inode === 0 || this.#placed.has(row)) return;
    this.#placed.add(row);
    const isDirectory = this.#isDirectory(row);
    const place = newPlace(row, substitute(row), isDirectory ? "directory" : "file");
    this.#lost.push(place);
    if (isDirectory) this.#fill(place, this.#below.get(row.inode) ?? []);
  }

  /** Lists all places, depth first; directories that are too deep go to lost+found. */
  #list(): void {
    const kept = this.#root.names.get(LOST);
    const hasOwn = kept?.kind === "directory";
    const others = hasOwn
      ? this.#root.children.filter((each) => each !== kept)
      : this.#root.children;
    for (const child of others) this.#listBelow(child, undefined);
    if (!hasOwn && this.#lost.length === 0) return;
    const name = kept === undefined || hasOwn ? LOST : `${LOST}.rescued`;
    const top = new SalvagedItem(name, undefined, "directory", kept?.row ?? NO_ROW);
    this.items.push(top);
    for (const child of hasOwn ? kept.children : []) this.#listBelow(child, top);
    // The list grows during the loop.
    for (const child of this.#lost) this.#listBelow(child, top);
  }

  #listBelow(first: Place, parent: SalvagedItem | undefined): void {
    const ahead: [Place, SalvagedItem | undefined][] = [[first, parent]];
    for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
      const [place, above] = next;
      const { kind, row } = place;
      const depth = (above?.level ?? 0) >= MAX_LEVELS || (above?.pathBytes ?? 0) > PATH_BYTES;
      if (depth && kind === "directory") {
        this.#lost.push({ ...place, name: substitute(row) });
        continue;
      }
      const item = new SalvagedItem(place.name, above, kind, row);
      this.items.push(item);
      this.#say(place, item);
      for (const child of place.children.toReversed()) ahead.push([child, item]);
    }
  }

  #say({ row, name, merged }: Place, item: SalvagedItem): void {
    if (name !== row.name) this.moved.push(`'${row.name}' is called ${item.path.join("/")}`);
    for (const other of merged) {
      const inodes = `inodes ${showInode(row.inode)} and ${showInode(other.inode)}`;
      const path = item.path.join("/");
      this.moved.push(`two directories are called ${path} (${inodes}): their entries are together`);
    }
  }
}

/**
 * Reads everything that can be read; throws for no content of the file. `read`: readAtRest, unless
 * the caller itself reads again what a server changes meanwhile.
 */
export function salvage(file: string, read = readDatabase): Salvaged {
  const database = read(file);
  const placer = new Placer(database.rows);
  return { items: placer.items, moved: placer.moved, database };
}
