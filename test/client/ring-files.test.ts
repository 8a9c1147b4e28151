/** What a client accepts as a server's ring files: `attach` over files that a test makes. */
import { afterEach, expect, test } from "bun:test";
import {
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { attach, type Attached, removeFiles } from "../../src/client/ring-files.ts";
import { QbFailure } from "../../src/client/failure.ts";
import type { Accepted } from "../../src/client/handshake.ts";
import { SHM } from "../../src/shm/ring-directory.ts";
import { RING_NAMES, referencesOf } from "../../src/shm/ring-set.ts";
import { RingHeader } from "../../src/wire/qb.ts";
import { testUnless } from "../support/unless.ts";

const MiB = 1024 * 1024;
const OWN_UID = process.geteuid?.() ?? 0;

const directories: string[] = [];

afterEach(() => {
  for (const directory of directories.splice(0))
    rmSync(directory, { recursive: true, force: true });
});

/** A set-up answer that names six new files, which have holes instead of pages. */
function offered(dataBytes: number, maxMessageBytes: number): Accepted {
  const directory = mkdtempSync(join(SHM, `qb-${process.pid}-0-0-`));
  directories.push(directory);
  for (const ring of RING_NAMES) {
    const header = openSync(join(directory, `${ring}-header`), "w+");
    ftruncateSync(header, RingHeader.fileBytes);
    writeSync(header, new Uint32Array([dataBytes / 4]), 0, 4, RingHeader.wordCount);
    closeSync(header);
    const data = openSync(join(directory, `${ring}-data`), "w+");
    ftruncateSync(data, dataBytes);
    closeSync(data);
  }
  const [request, response, event] = RING_NAMES.map((ring) => join(directory, ring));
  return {
    fd: -1,
    server: { pid: process.pid, uid: OWN_UID, gid: 0 },
    uid: OWN_UID,
    maxMessageBytes,
    prefixes: { request: request ?? "", response: response ?? "", event: event ?? "" },
  };
}

function attached(accepted: Accepted): Attached {
  const found = attach(accepted);
  if (found instanceof QbFailure) throw new Error(String(found));
  return found;
}

/** The reference count in a header file. */
function referencesIn(path: string): number {
  const count = new Int32Array(1);
  const fd = openSync(path, "r");
  readSync(fd, count, 0, count.byteLength, RingHeader.refCount);
  closeSync(fd);
  return count[0] ?? 0;
}

test("rings that lie above 2 GiB of address space are used like others", () => {
  const accepted = offered(512 * MiB, 256 * MiB);
  const { set, place } = attached(accepted);
  using mapped = set;
  for (const ring of RING_NAMES) {
    expect(referencesOf(mapped.rings[ring])).toBe(1);
    expect(referencesIn(`${accepted.prefixes[ring]}-header`)).toBe(1);
  }
  expect(place.directory).toBe(basename(directories[0] ?? ""));
});

test("files of ours are taken from root's server, not from another user's", () => {
  const accepted = offered(16 * 1024, 12_328);
  const stranger = { ...accepted, server: { ...accepted.server, uid: OWN_UID + 4711 } };
  const refused = attach(stranger);
  if (!(refused instanceof QbFailure)) throw new Error("mapped");
  expect([refused.kind, refused.message]).toEqual([
    "files",
    expect.stringMatching(/request-header belongs to uid \d+, and the server has uid \d+$/),
  ]);
  expect(referencesIn(`${accepted.prefixes.request}-header`)).toBe(0);
  using mapped = attached({ ...accepted, server: { ...accepted.server, uid: 0 } }).set;
  expect(mapped.vanished).toBe(false);
});

const asRoot = testUnless(OWN_UID === 0 ? undefined : "needs root, to give a directory away");

asRoot("files of ours in a directory of the server are taken: it has given them to us", () => {
  const accepted = offered(16 * 1024, 12_328);
  const [directory = ""] = directories;
  const server = { ...accepted.server, uid: 4711 };
  chownSync(directory, server.uid, 0);
  using mapped = attached({ ...accepted, server }).set;
  expect(mapped.vanished).toBe(false);
});

asRoot("a link in a directory of the server to files of ours is refused", () => {
  const accepted = offered(16 * 1024, 12_328);
  const [directory = ""] = directories;
  const server = { ...accepted.server, uid: 4711 };
  const other = mkdtempSync(join(SHM, `qb-${process.pid}-0-1-`));
  directories.push(other);
  for (const name of readdirSync(directory)) linkSync(join(directory, name), join(other, name));
  chownSync(other, server.uid, 0);
  const prefixes = { ...accepted.prefixes };
  for (const ring of RING_NAMES) prefixes[ring] = join(other, ring);
  expect(attach({ ...accepted, server, prefixes })).toBeInstanceOf(QbFailure);
  // The directory itself is a link to one of the server's.
  chownSync(directory, server.uid, 0);
  rmSync(other, { recursive: true });
  symlinkSync(directory, other);
  expect(attach({ ...accepted, server, prefixes })).toBeInstanceOf(QbFailure);
});

test("the files of a dead server are removed, or truncated; those behind a symlink are not", () => {
  const accepted = offered(16 * 1024, 12_328);
  const { set, place } = attached(accepted);
  set[Symbol.dispose]();
  const [directory = ""] = directories;
  const others = offered(16 * 1024, 12_328);
  renameSync(directory, `${directory}.moved`);
  symlinkSync(directories[1] ?? "", directory);
  removeFiles(place);
  expect(statSync(`${others.prefixes.event}-data`).size).toBe(16 * 1024);
  // The files that were mapped, though the directory cannot be opened under its name.
  rmSync(directory);
  symlinkSync(`${directory}.moved`, directory);
  removeFiles(place);
  expect(statSync(join(`${directory}.moved`, "event-data")).size).toBe(0);
  rmSync(directory);
  renameSync(`${directory}.moved`, directory);
  removeFiles(place);
  expect(existsSync(directory)).toBe(false);
});
