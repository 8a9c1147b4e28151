/** Why a guest's configuration is refused: `File exists` does not say where the other one is. */
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import { guestPath } from "../state/guests.ts";
import { type Memdb, pathOf } from "../state/memdb.ts";
import type { TreeCommand } from "../state/tree-command.ts";

const DIRECTORIES = ["qemu-server", "lxc", "openvz"];

/** Where the tree has a configuration of guest `vmid`; undefined when it has none. */
function findGuest(memdb: Memdb, vmid: number): string | undefined {
  for (const node of memdb.find("nodes")?.children.values() ?? []) {
    for (const directory of DIRECTORIES) {
      const entry = node.children.get(directory)?.children.get(`${vmid}.conf`);
      if (entry?.kind === "file") return pathOf(entry);
    }
  }
  return undefined;
}

/** Logs where the number lives when a change was refused with EEXIST for it; each once in a row. */
export class GuestClashes {
  readonly #memdb: Memdb;
  readonly #log: LogOnce;

  constructor(memdb: Memdb, log: Log) {
    this.#memdb = memdb;
    this.#log = new LogOnce((line) => log.warn(line));
  }

  /** `command` was answered EEXIST. */
  refused(command: TreeCommand): void {
    const path = command.kind === "rename" ? command.to : command.path;
    const guest = guestPath(path);
    const holder = guest === undefined ? undefined : findGuest(this.#memdb, guest.vmid);
    if (guest === undefined || holder === undefined || holder === path) return;
    this.#log.say(
      `${path} is refused with "File exists": guest ${guest.vmid} is at ${holder}, ` +
        "and a number exists once in a cluster",
    );
  }
}
