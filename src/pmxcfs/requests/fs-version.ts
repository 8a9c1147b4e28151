/**
 * The text of GET_FS_VERSION: the server's start time, every counter, and the versions of all
 * status keys. It is the most frequent request, so the bytes are cached, in two halves, each of
 * which is rebuilt only when one of its counters changed. C counterpart: status.c,
 * cfs_create_version_msg.
 */
import { quoteJson } from "../state/json-text.ts";
import type { Versions } from "../state/versions.ts";

/** The source of the second half: the status store. */
export interface KeyVersions {
  readonly generation: number;
  versions(): Iterable<[node: string, keys: Iterable<[name: string, version: number]>]>;
}

export interface FsVersionOptions {
  readonly versions: Versions;
  readonly status: KeyVersions;
}

/** Caches the text. Bytes that were returned are never changed. */
export class FsVersionText {
  readonly #versions: Versions;
  readonly #status: KeyVersions;
  #counters = "";
  #countersOf = -1;
  #keys = "";
  #keysOf = -1;
  #text: Uint8Array = new Uint8Array(0);

  constructor(options: FsVersionOptions) {
    this.#versions = options.versions;
    this.#status = options.status;
  }

  text(): Uint8Array {
    const counters = this.#versions.generation;
    const keys = this.#status.generation;
    if (counters === this.#countersOf && keys === this.#keysOf) return this.#text;
    if (counters !== this.#countersOf) this.#counters = renderCounters(this.#versions);
    if (keys !== this.#keysOf) this.#keys = renderKeys(this.#status);
    this.#countersOf = counters;
    this.#keysOf = keys;
    this.#text = Buffer.from(this.#counters + this.#keys, "latin1");
    return this.#text;
  }
}

function renderCounters(versions: Versions): string {
  const { startTime, clinfo, vmlist } = versions;
  let text = `{\n"starttime": ${startTime},\n"clinfo": ${clinfo},\n"vmlist": ${vmlist},\n`;
  for (const path of versions.observed) text += `"${path}": ${versions.of(path)},\n`;
  return text;
}

function renderKeys(status: KeyVersions): string {
  const nodes: string[] = [];
  for (const [node, keys] of status.versions()) {
    const lines: string[] = [];
    for (const [name, version] of keys) lines.push(`${quoteJson(name)}: ${version}`);
    nodes.push(`${quoteJson(node)}: {\n${lines.join(",\n")}}\n`);
  }
  return `"kvstore": {\n${nodes.join(",\n")}}\n}\n`;
}
