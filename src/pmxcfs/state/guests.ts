/**
 * The guests, from the names of configuration files: the list of GET_GUEST_LIST and the properties
 * of GET_GUEST_CONFIG_PROPERTY(S). Updated by the tree's changes; a configuration is indexed once
 * after a change, answers are kept as bytes until a guest changes. C counterpart: status.c
 * (vmlist), memdb.c (which names are guests).
 */
import { Errno } from "../../base/errno.ts";
import { indexProperties, scanProperties, type PropertyIndex } from "./guest-config.ts";
import { quoteJson } from "./json-text.ts";
import { pathOf, type Change, type Entry, type Memdb } from "./memdb.ts";
import type { Versions } from "./versions.ts";

const TYPES: Readonly<Record<string, string>> = {
  "qemu-server": "qemu",
  lxc: "lxc",
  openvz: "openvz",
};

/** The directory that holds the configurations of a type, as the list names it: `qemu`. */
export function guestDirectory(type: string): string {
  return Object.entries(TYPES).find(([, name]) => name === type)?.[0] ?? type;
}

/** nodes/NODE/TYPE/VMID.conf; node names follow the rule for host names, letter case kept. */
const NODE_NAME = "[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?";
const GUEST_PATH = new RegExp(
  `^nodes/(${NODE_NAME})/(qemu-server|lxc|openvz)/([1-9][0-9]*)\\.conf$`,
);
const MAX_VMID = 0xffff_ffff;
/** Lower numbers cannot be asked for one by one. */
const FIRST_VMID = 100;

/** Answers that are kept, by number and by size: enough for clients that repeat their requests. */
const KEPT_ANSWERS = 64;
/** Requests for all guests whose parts are kept when a guest changes: the API and HA make two. */
const KEPT_QUESTIONS = 4;
const KEPT_BYTES = 16 * 1024 * 1024;

/** One state of a guest; a change makes a new one. */
interface Guest {
  readonly entry: Entry;
  /** Its part of the list. */
  readonly line: string;
  /** Its properties, parsed at the first request for them. */
  index: PropertyIndex | undefined;
}

/** A guest's number, node and type, from the path of its configuration. */
export interface GuestPath {
  readonly vmid: number;
  readonly node: string;
  /** As the list names it: qemu, lxc, openvz. */
  readonly type: string;
}

/** Which guest a path is the configuration of; undefined when of none. */
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
  /** Two configurations claim one number; the first is listed. */
  readonly onDuplicate?: (vmid: number, paths: readonly string[]) => void;
}

export class Guests {
  readonly #memdb: Memdb;
  readonly #versions: Versions;
  readonly #onDuplicate: (vmid: number, paths: readonly string[]) => void;
  readonly #guests = new Map<number, Guest>();
  /** Configurations whose number another one has; when that one goes, the first takes over. */
  readonly #waiting = new Map<number, Entry[]>();
  readonly #answers = new Map<string, Uint8Array>();
  readonly #rendered = new Map<string, Map<Guest, string>>();
  #answerBytes = 0;
  #lastVersion = 0;
  #list: Uint8Array | undefined;
  #listedAt = -1;

  constructor(options: GuestsOptions) {
    this.#versions = options.versions;
    this.#onDuplicate = options.onDuplicate ?? (() => {});
    this.#memdb = options.memdb;
    for (const entry of configsOf(options.memdb)) this.#claimFile(entry);
    options.memdb.subscribe((change) => this.#changed(change));
  }

  get count(): number {
    return this.#guests.size;
  }

  /** The text of GET_GUEST_LIST. */
  list(): Uint8Array {
    const version = this.#versions.vmlist;
    if (this.#list !== undefined && this.#listedAt === version) return this.#list;
    let text = `{\n"version": ${version}`;
    let separator = ',\n"ids": {\n';
    for (const guest of this.#guests.values()) {
      text += separator + guest.line;
      separator = ",\n";
    }
    text += this.#guests.size === 0 ? "\n\n}\n" : "}\n\n}\n";
    this.#list = Buffer.from(text, "latin1");
    this.#listedAt = version;
    return this.#list;
  }

  /** True when a guest has this number. */
  has(vmid: number): boolean {
    return this.#guests.has(vmid);
  }

  /**
   * The text of GET_GUEST_CONFIG_PROPERTY(S): of one guest, or of all for vmid 0 (or any below
   * 100; the operation refuses those). ENOENT: no such guest; EIO: its configuration is empty.
   */
  properties(vmid: number, names: readonly string[]): Uint8Array | Errno {
    // The count distinguishes no names from one empty name.
    const key = `${vmid}:${names.length}:${names.join("\0")}`;
    const kept = this.#answers.get(key);
    if (kept !== undefined) return kept;
    const text =
      vmid >= FIRST_VMID ? this.#propertiesOf(vmid, names) : this.#allProperties(key, names);
    if (typeof text === "number") return text;
    const answer = Buffer.from(text, "latin1");
    this.#keep(key, answer);
    return answer;
  }

  #propertiesOf(vmid: number, names: readonly string[]): string | Errno {
    const guest = this.#guests.get(vmid);
    if (guest === undefined) return Errno.ENOENT;
    if (guest.entry.bytes.length === 0) return Errno.EIO;
    return `{\n${render(vmid, guest, names, names.map(quoteJson))}\n}\n`;
  }

  /** Renders only the guests that changed since this was asked last. */
  #allProperties(key: string, names: readonly string[]): string {
    const quoted = names.map(quoteJson);
    const rendered = this.#renderedFor(key);
    let text = "{\n";
    let separator = "";
    for (const [vmid, guest] of this.#guests) {
      let found = rendered.get(guest);
      if (found === undefined) {
        found = render(vmid, guest, names, quoted);
        rendered.set(guest, found);
      }
      if (found === "") continue;
      text += separator + found;
      separator = ",\n";
    }
    return `${text}\n}\n`;
  }

  #renderedFor(key: string): Map<Guest, string> {
    const kept = this.#rendered.get(key);
    if (kept !== undefined) return kept;
    if (this.#rendered.size >= KEPT_QUESTIONS) this.#rendered.clear();
    const made = new Map<Guest, string>();
    this.#rendered.set(key, made);
    return made;
  }

  #forget(guest: Guest | undefined): void {
    if (guest === undefined) return;
    for (const rendered of this.#rendered.values()) rendered.delete(guest);
  }

  #keep(key: string, answer: Uint8Array): void {
    const size = key.length + answer.length;
    if (this.#answers.size >= KEPT_ANSWERS || this.#answerBytes + size > KEPT_BYTES) this.#drop();
    if (size > KEPT_BYTES) return;
    this.#answers.set(key, answer);
    this.#answerBytes += size;
  }

  #drop(): void {
    this.#answers.clear();
    this.#answerBytes = 0;
  }

  #changed({ kind, path, entry }: Change): void {
    if (kind === "reloaded") {
      this.#rebuild();
      return;
    }
    const place = guestPath(path);
    // A new mtime alone does not change the guest: utime does not move vmlist.
    if (place === undefined || kind === "touched") return;
    const gone = kind === "removed" || entry.kind === "directory";
    const listChanged = gone ? this.#release(place.vmid, entry) : this.#claim(entry, place, path);
    if (!listChanged) return;
    this.#versions.bumpVmlist();
    this.#drop();
  }

  /** The tree was replaced: makes the list again, with a new version for every guest. */
  #rebuild(): void {
    this.#guests.clear();
    this.#waiting.clear();
    this.#rendered.clear();
    for (const entry of configsOf(this.#memdb)) this.#claimFile(entry);
    this.#versions.bumpVmlist();
    this.#drop();
  }

  /** Lists the guest or its new state; false when another configuration has its number. */
  #claim(entry: Entry, { vmid, node, type }: GuestPath, path: string): boolean {
    const holder = this.#guests.get(vmid);
    if (holder !== undefined && this.#isHeldElsewhere(holder, entry)) {
      this.#wait(vmid, holder, entry, path);
      return false;
    }
    this.#lastVersion++;
    // The version is from one counter for all guests: a new value with every change.
    const version = this.#lastVersion;
    const line = `"${vmid}": { "node": "${node}", "type": "${type}", "version": ${version} }`;
    this.#forget(holder);
    this.#guests.set(vmid, { entry, line, index: undefined });
    return true;
  }

  /** True when another configuration that is still in the tree has the number. */
  #isHeldElsewhere(holder: Guest, entry: Entry): boolean {
    return holder.entry !== entry && holder.entry.parent !== undefined;
  }

  #wait(vmid: number, holder: Guest, entry: Entry, path: string): void {
    const waiting = this.#waiting.get(vmid) ?? [];
    if (waiting.includes(entry)) return;
    this.#waiting.set(vmid, [...waiting, entry]);
    this.#onDuplicate(vmid, [pathOf(holder.entry), path]);
  }

  /**
   * Removes a configuration from the list, and lists one that waited; true when the list changed.
   */
  #release(vmid: number, entry: Entry): boolean {
    const waiting = (this.#waiting.get(vmid) ?? []).filter(
      (other) => other !== entry && other.parent !== undefined,
    );
    this.#waiting.delete(vmid);
    const holder = this.#guests.get(vmid);
    const configured = holder?.entry;
    const listed =
      configured !== undefined && (configured === entry || configured.parent === undefined);
    if (listed) {
      this.#forget(holder);
      this.#guests.delete(vmid);
      const next = waiting.shift();
      if (next !== undefined) this.#claimFile(next);
    }
    if (waiting.length > 0) this.#waiting.set(vmid, waiting);
    return listed;
  }

  #claimFile(entry: Entry): void {
    const path = pathOf(entry);
    const place = entry.kind === "file" ? guestPath(path) : undefined;
    if (place !== undefined) this.#claim(entry, place, path);
  }
}

/** One guest's `"100":{...}`; "" when it has none of the properties. */
function render(
  vmid: number,
  guest: Guest,
  names: readonly string[],
  quoted: readonly string[],
): string {
  const index = (guest.index ??= indexProperties(configOf(guest)));
  const scanned =
    index.repeats || names.some((name) => name.includes(":"))
      ? scanProperties(configOf(guest), names)
      : undefined;
  let text = "";
  for (let at = 0; at < names.length; at++) {
    const value = scanned === undefined ? index.values.get(names[at] ?? "") : scanned[at];
    if (value === undefined) continue;
    text += `${text === "" ? "" : ","}${quoted[at]}: ${quoteValue(value)}`;
  }
  return text === "" ? "" : `"${vmid}":{${text}}`;
}

function configOf(guest: Guest): string {
  const { buffer, byteOffset, length } = guest.entry.bytes;
  return Buffer.from(buffer, byteOffset, length).toString("latin1");
}

/** Texts that need no escape and are valid UTF-8. */
const PLAIN = /^[ !#-[\]-~]*$/;

/** A value as C prints it (`\` and `"` escaped), and valid JSON where C's is not. */
function quoteValue(value: string): string {
  if (PLAIN.test(value)) return `"${value}"`;
  const decoded = Buffer.from(value, "latin1").toString("utf8");
  return Buffer.from(JSON.stringify(decoded), "utf8").toString("latin1");
}

/** Every entry where a guest configuration can be. */
function* configsOf(memdb: Memdb): Generator<Entry> {
  for (const node of memdb.find("nodes")?.children.values() ?? []) {
    for (const directory of Object.keys(TYPES)) {
      yield* node.children.get(directory)?.children.values() ?? [];
    }
  }
}
