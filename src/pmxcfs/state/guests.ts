/**
 * The guests, derived from the names of configuration files: the list of GET_GUEST_LIST and the
 * properties of GET_GUEST_CONFIG_PROPERTY(S). Follows the changes of the tree; a configuration is
 * parsed once after each change, and answers are kept until a guest changes. C counterpart:
 * status.c (vmlist), memdb.c (which names are guests).
 */
import { Errno } from "../../base/errno.ts";
import { IpcLimits } from "../../base/limits.ts";
import { indexProperties, scanProperties, type PropertyIndex } from "./guest-config.ts";
import type { Steps } from "../../base/steps.ts";
import type { ComingTree } from "./coming-tree.ts";
import { quoteJson } from "./json-text.ts";
import { KeptAnswers } from "./kept-answers.ts";
import { pathOf, type Change, type Entry, type Memdb } from "./memdb.ts";
import type { Versions } from "./versions.ts";

const TYPES: Readonly<Record<string, string>> = {
  "qemu-server": "qemu",
  lxc: "lxc",
  openvz: "openvz",
};

/** The directory with the configurations of a type: `qemu-server` for `qemu`. */
export function guestDirectory(type: string): string {
  return Object.entries(TYPES).find(([, name]) => name === type)?.[0] ?? type;
}

/** Directories of guest configurations, below nodes/NODE. */
export const GUEST_DIRECTORIES: readonly string[] = Object.keys(TYPES);

/** Pattern of a node's name, which follows the rule for host names and is case-sensitive. */
export const NODE_NAME = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
/** nodes/NODE/TYPE/VMID.conf */
const GUEST_PATH = new RegExp(
  `^nodes/(${NODE_NAME})/(${GUEST_DIRECTORIES.join("|")})/([1-9][0-9]*)\\.conf$`,
);
const MAX_VMID = 0xffff_ffff;
/** The lowest number that a request for one guest may have. */
export const FIRST_VMID = 100;

/** Configurations per step. */
const CONFIGS_A_STEP = 32;

/** Most requests for all guests whose parts are cached per guest; the API and HA make two. */
const KEPT_QUESTIONS = 4;

/** Parts of the answers to longer questions (names with separators) are not cached. */
const KEPT_QUESTION_CHARS = 4096;

/** A longer answer fits no ring; a few names asked for 255 times could take all the memory. */
const MAX_ANSWER_CHARS = IpcLimits.maxMessageBytes;

/** One state of a guest, immutable but for `index`; a change makes a new object. */
interface Guest {
  readonly entry: Entry;
  /** Its part of the list. */
  readonly line: string;
  /** Its properties, parsed at the first request for them. */
  index: PropertyIndex | undefined;
}

/** The guests of a tree by their numbers. */
interface Listed {
  readonly guests: Map<number, Guest>;
  /** Configurations whose number another one has; when that is removed, the first replaces it. */
  readonly waiting: Map<number, Entry[]>;
}

/** The guests of a prepared tree, and the duplicates to report when it is taken. */
interface ComingGuests extends Listed {
  readonly duplicates: { readonly vmid: number; readonly paths: readonly string[] }[];
}

function newListed(): Listed {
  return { guests: new Map(), waiting: new Map() };
}

/** A guest's number, node and type, from the path of its configuration. */
export interface GuestPath {
  readonly vmid: number;
  readonly node: string;
  /** The list's name: qemu, lxc or openvz. */
  readonly type: string;
}

/** The guest whose configuration a path is; undefined for any other path. */
export function guestPath(path: string): GuestPath | undefined {
  if (!path.startsWith("nodes/")) return undefined;
  const [, node, directory, digits] = GUEST_PATH.exec(path) ?? [];
  if (node === undefined || directory === undefined || digits === undefined) return undefined;
  const vmid = Number(digits);
  return vmid > MAX_VMID ? undefined : { vmid, node, type: TYPES[directory] ?? "unknown" };
}

export interface GuestsOptions {
  /** Loaded already. */
  readonly memdb: Memdb;
  readonly versions: Versions;
  /** Called when two configurations have the same number; the first path is the listed one. */
  readonly onDuplicate?: (vmid: number, paths: readonly string[]) => void;
}

export class Guests {
  readonly #versions: Versions;
  readonly #onDuplicate: (vmid: number, paths: readonly string[]) => void;
  #listed = newListed();
  /** The guests of the tree that was prepared last. */
  #coming: ComingGuests = { ...newListed(), duplicates: [] };
  /** Answers to GET_GUEST_CONFIG_PROPERTY and _PROPERTIES, until a guest changes. */
  readonly kept = { property: new KeptAnswers(), properties: new KeptAnswers() };
  readonly #rendered = new Map<string, Map<Guest, string>>();
  #lastVersion = 0;
  #list: Uint8Array | undefined;
  #listedAt = -1;

  constructor(options: GuestsOptions) {
    this.#versions = options.versions;
    this.#onDuplicate = options.onDuplicate ?? (() => {});
    const { memdb } = options;
    for (const config of guestConfigs(memdb.root)) this.#claim(config.entry, config, config.path);
    memdb.subscribe((change) => this.#changed(change));
    memdb.prepareWith((coming) => this.#prepare(memdb.root, coming));
  }

  get count(): number {
    return this.#listed.guests.size;
  }

  /** The text of GET_GUEST_LIST. */
  list(): Uint8Array {
    const version = this.#versions.vmlist;
    if (this.#list !== undefined && this.#listedAt === version) return this.#list;
    let text = `{\n"version": ${version}`;
    let separator = ',\n"ids": {\n';
    for (const guest of this.#listed.guests.values()) {
      text += separator + guest.line;
      separator = ",\n";
    }
    text += this.#listed.guests.size === 0 ? "\n\n}\n" : "}\n\n}\n";
    this.#list = Buffer.from(text, "latin1");
    this.#listedAt = version;
    return this.#list;
  }

  /** True when a guest has this number. */
  has(vmid: number): boolean {
    return this.#listed.guests.has(vmid);
  }

  /**
   * The text of GET_GUEST_CONFIG_PROPERTY(S): for one guest, or for all if vmid is below 100 (of
   * these the request allows only 0). ENOENT: no such guest; EIO: its configuration is empty;
   * EMSGSIZE: larger than any reply.
   */
  properties(vmid: number, names: readonly string[]): Uint8Array | Errno {
    const text = vmid >= FIRST_VMID ? this.#propertiesOf(vmid, names) : this.#allProperties(names);
    if (typeof text === "number") return text;
    return text.length > MAX_ANSWER_CHARS ? Errno.EMSGSIZE : Buffer.from(text, "latin1");
  }

  #propertiesOf(vmid: number, names: readonly string[]): string | Errno {
    const guest = this.#listed.guests.get(vmid);
    if (guest === undefined) return Errno.ENOENT;
    if (guest.entry.bytes.length === 0) return Errno.EIO;
    return `{\n${render(vmid, guest, askedFor(names))}\n}\n`;
  }

  /**
   * Renders only the guests that changed since the last request with these names. Ends early when
   * the text is too long.
   */
  #allProperties(names: readonly string[]): string {
    const asked = askedFor(names);
    // The count distinguishes an empty list from a list of one empty name.
    const question = `${names.length}:${names.join("\0")}`;
    const rendered = this.#renderedFor(question);
    let text = "{\n";
    let separator = "";
    for (const [vmid, guest] of this.#listed.guests) {
      let found = rendered.get(guest);
      if (found === undefined) {
        found = render(vmid, guest, asked);
        rendered.set(guest, found);
      }
      if (found === "") continue;
      text += separator + found;
      separator = ",\n";
      if (text.length <= MAX_ANSWER_CHARS) continue;
      this.#rendered.delete(question);
      return text;
    }
    return `${text}\n}\n`;
  }

  #renderedFor(key: string): Map<Guest, string> {
    const kept = this.#rendered.get(key);
    if (kept !== undefined) return kept;
    if (key.length > KEPT_QUESTION_CHARS) return new Map();
    if (this.#rendered.size >= KEPT_QUESTIONS) this.#rendered.clear();
    const made = new Map<Guest, string>();
    this.#rendered.set(key, made);
    return made;
  }

  #forget(guest: Guest | undefined): void {
    if (guest === undefined) return;
    for (const rendered of this.#rendered.values()) rendered.delete(guest);
  }

  #drop(): void {
    this.kept.property.drop();
    this.kept.properties.drop();
  }

  #changed({ kind, path, entry }: Change): void {
    if (kind === "reloaded") {
      this.#takeComing();
      return;
    }
    const place = guestPath(path);
    // As in C, utime does not change the guest, and so does not increment vmlist.
    if (place === undefined || kind === "touched") return;
    const gone = kind === "removed" || entry.kind === "directory";
    const listChanged = gone ? this.#release(place.vmid, entry) : this.#claim(entry, place, path);
    if (!listChanged) return;
    this.#versions.bumpVmlist();
    this.#drop();
  }

  /** For a new tree: the list is rebuilt, and every guest gets a new version. */
  *#prepare(root: Entry, tree: ComingTree): Steps {
    const { guests, waiting } = newListed();
    const paths = new Map<number, string>();
    const duplicates: ComingGuests["duplicates"] = [];
    let count = 0;
    for (const config of guestConfigs(root, (entry) => tree.childrenOf(entry))) {
      if (++count % CONFIGS_A_STEP === 0) yield undefined;
      const { vmid, entry, path } = config;
      const first = paths.get(vmid);
      if (first === undefined) {
        paths.set(vmid, path);
        guests.set(vmid, this.#newGuest(config));
        continue;
      }
      waiting.set(vmid, [...(waiting.get(vmid) ?? []), entry]);
      duplicates.push({ vmid, paths: [first, path] });
    }
    this.#coming = { guests, waiting, duplicates };
  }

  #takeComing(): void {
    const { guests, waiting, duplicates } = this.#coming;
    this.#listed = { guests, waiting };
    this.#coming = { ...newListed(), duplicates: [] };
    for (const { vmid, paths } of duplicates) this.#onDuplicate(vmid, paths);
    this.#rendered.clear();
    this.#versions.bumpVmlist();
    this.#drop();
  }

  /** Lists the guest in its new state; false when another configuration has its number. */
  #claim(entry: Entry, place: GuestPath, path: string): boolean {
    const { vmid } = place;
    const holder = this.#listed.guests.get(vmid);
    if (holder !== undefined && this.#isHeldElsewhere(holder, entry)) {
      this.#wait(vmid, holder, entry, path);
      return false;
    }
    this.#forget(holder);
    this.#listed.guests.set(vmid, this.#newGuest({ ...place, entry }));
    return true;
  }

  #newGuest({ vmid, node, type, entry }: GuestPath & { readonly entry: Entry }): Guest {
    this.#lastVersion++;
    // One counter for all guests: each change of any guest takes a new value.
    const version = this.#lastVersion;
    const line = `"${vmid}": { "node": "${node}", "type": "${type}", "version": ${version} }`;
    return { entry, line, index: undefined };
  }

  /** True when another configuration that is still in the tree has the number. */
  #isHeldElsewhere(holder: Guest, entry: Entry): boolean {
    return holder.entry !== entry && holder.entry.parent !== undefined;
  }

  #wait(vmid: number, holder: Guest, entry: Entry, path: string): void {
    const waiting = this.#listed.waiting.get(vmid) ?? [];
    if (waiting.includes(entry)) return;
    this.#listed.waiting.set(vmid, [...waiting, entry]);
    this.#onDuplicate(vmid, [pathOf(holder.entry), path]);
  }

  /**
   * Removes a configuration from the list, and lists the first that waits for its number. True when
   * the list changed.
   */
  #release(vmid: number, entry: Entry): boolean {
    const waiting = (this.#listed.waiting.get(vmid) ?? []).filter(
      (other) => other !== entry && other.parent !== undefined,
    );
    this.#listed.waiting.delete(vmid);
    const holder = this.#listed.guests.get(vmid);
    const configured = holder?.entry;
    const listed =
      configured !== undefined && (configured === entry || configured.parent === undefined);
    if (listed) {
      this.#forget(holder);
      this.#listed.guests.delete(vmid);
      const next = waiting.shift();
      if (next !== undefined) this.#claimFile(next);
    }
    if (waiting.length > 0) this.#listed.waiting.set(vmid, waiting);
    return listed;
  }

  #claimFile(entry: Entry): void {
    const path = pathOf(entry);
    const place = entry.kind === "file" ? guestPath(path) : undefined;
    if (place !== undefined) this.#claim(entry, place, path);
  }
}

/** The properties of a request. Clients choose their length: no name is read once per guest. */
interface Asked {
  readonly names: readonly string[];
  /** The names in quotes, for JSON; a name is escaped when it is found for the first time. */
  readonly quoted: (string | undefined)[];
  /** A name has a colon: the index cannot be used. */
  readonly hasColon: boolean;
}

function askedFor(names: readonly string[]): Asked {
  return { names, quoted: [], hasColon: names.some((name) => name.includes(":")) };
}

/**
 * One guest's `"100":{...}`; "" when it has none of the properties. Ends early when it is too long.
 */
function render(vmid: number, guest: Guest, { names, quoted, hasColon }: Asked): string {
  const index = (guest.index ??= indexProperties(configOf(guest)));
  const scanned = index.repeats || hasColon ? scanProperties(configOf(guest), names) : undefined;
  let text = "";
  for (let at = 0; at < names.length && text.length <= MAX_ANSWER_CHARS; at++) {
    const name = names[at] ?? "";
    const value = scanned === undefined ? index.values.get(name) : scanned[at];
    if (value === undefined) continue;
    quoted[at] ??= quoteJson(name);
    text += `${text === "" ? "" : ","}${quoted[at]}: ${quoteValue(value)}`;
  }
  return text === "" ? "" : `"${vmid}":{${text}}`;
}

function configOf(guest: Guest): string {
  const { buffer, byteOffset, length } = guest.entry.bytes;
  return Buffer.from(buffer, byteOffset, length).toString("latin1");
}

/** Printable ASCII without quote and backslash: needs no escape. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** A value as C prints it (`\` and `"` escaped), and as valid JSON where C's output is not. */
function quoteValue(value: string): string {
  if (PLAIN.test(value)) return `"${value}"`;
  const decoded = Buffer.from(value, "latin1").toString("utf8");
  return Buffer.from(JSON.stringify(decoded), "utf8").toString("latin1");
}

/** A guest's configuration in a tree. */
interface GuestConfig extends GuestPath {
  readonly entry: Entry;
  readonly path: string;
}

type Children = (entry: Entry) => ReadonlyMap<string, Entry>;

/** Every guest configuration below `root`; `childrenOf`: for the children in a prepared tree. */
export function* guestConfigs(
  root: Entry,
  childrenOf: Children = ({ children }) => children,
): Generator<GuestConfig> {
  const nodes = childrenOf(root).get("nodes");
  if (nodes === undefined) return;
  for (const [node, nodeEntry] of childrenOf(nodes)) {
    for (const name of Object.keys(TYPES)) {
      const directory = childrenOf(nodeEntry).get(name);
      for (const [file, entry] of directory === undefined ? [] : childrenOf(directory)) {
        const path = `nodes/${node}/${name}/${file}`;
        const place = entry.kind === "file" ? guestPath(path) : undefined;
        if (place !== undefined) yield { ...place, entry, path };
      }
    }
  }
}
