/**
 * Entries of the root that are not in the tree: links to this node's directories, and texts that
 * are made when they are opened. C counterpart: cfs-plug-link.c, cfs-plug-func.c.
 */
import { Errno } from "../../base/errno.ts";
import { S_IFLNK, S_IFREG } from "./modes.ts";

/** The sources of the texts. Bytes that were returned are never changed. */
export interface SpecialTexts {
  /** GET_FS_VERSION. */
  version(): Uint8Array;
  /** GET_CLUSTER_INFO. */
  members(): Uint8Array;
  /** GET_GUEST_LIST. */
  vmlist(): Uint8Array;
  /** GET_CLUSTER_LOG: 50 entries of all users. */
  clusterLog(): Uint8Array;
  /** GET_RRD_DUMP without its NUL. */
  rrd(): Uint8Array;
  /** Debug output is on. */
  debug(): boolean;
  setDebug(on: boolean): void;
}

/** One special entry. */
export interface Special {
  readonly name: string;
  readonly kind: "link" | "text";
  /** A link's target or a text's content; each call makes the text again. */
  content(): Uint8Array;
  /** Answers a write; EIO for all but .debug. */
  write(offset: number, written: Uint8Array): number;
  /** Answers a truncation; EIO for all but .debug. */
  truncate(): 0 | Errno;
  /** Type and permission bits. */
  mode(quorate: boolean): number;
}

const ON = Buffer.from("1\n");
const OFF = Buffer.from("0\n");
/** Bytes of ON and OFF: a write to .debug must begin with one of them, and is answered with 2. */
const SWITCH_BYTES = 2;

const linkMode = (quorate: boolean): number => S_IFLNK | (quorate ? 0o755 : 0o555);
const textMode = (): number => S_IFREG | 0o440;
const readOnly = (): Errno => Errno.EIO;

function link(name: string, target: string): Special {
  const content = Buffer.from(target, "latin1");
  const refusals = { write: readOnly, truncate: readOnly };
  return { name, kind: "link", content: () => content, ...refusals, mode: linkMode };
}

function text(name: string, content: () => Uint8Array): Special {
  return { name, kind: "text", content, write: readOnly, truncate: readOnly, mode: textMode };
}

function debugSwitch(texts: SpecialTexts): Special {
  return {
    name: ".debug",
    kind: "text",
    content: () => (texts.debug() ? ON : OFF),
    write(offset, written) {
      if (offset !== 0 || written.length < SWITCH_BYTES) return Errno.EIO;
      const begin = written.subarray(0, SWITCH_BYTES);
      const on = Buffer.compare(begin, ON) === 0;
      if (!on && Buffer.compare(begin, OFF) !== 0) return Errno.EIO;
      texts.setDebug(on);
      return SWITCH_BYTES;
    },
    truncate: () => 0,
    mode: () => S_IFREG | 0o640,
  };
}

/** All special entries of node `nodeName` (latin1), by name. */
export function specialEntries(
  nodeName: string,
  texts: SpecialTexts,
): ReadonlyMap<string, Special> {
  const node = `nodes/${nodeName}`;
  const all = [
    link("local", node),
    link("qemu-server", `${node}/qemu-server`),
    link("lxc", `${node}/lxc`),
    link("openvz", `${node}/openvz`),
    text(".version", () => texts.version()),
    text(".members", () => texts.members()),
    text(".vmlist", () => texts.vmlist()),
    text(".rrd", () => texts.rrd()),
    text(".clusterlog", () => texts.clusterLog()),
    debugSwitch(texts),
  ];
  return new Map(all.map((special) => [special.name, special]));
}
