/** Why a guest's configuration is refused: `File exists` does not say where the other one is. */
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import type { GuestNumbers } from "../state/guest-numbers.ts";
import { guestPath } from "../state/guests.ts";
import type { TreeCommand } from "../state/tree-command.ts";

/** Logs where the number lives when a change was refused with EEXIST for it; each once in a row. */
export class GuestClashes {
  readonly #numbers: Pick<GuestNumbers, "elsewhere"> | undefined;
  readonly #log: LogOnce;

  /** `numbers`: of the writable tree; undefined where none is, and nothing is refused for one. */
  constructor(numbers: Pick<GuestNumbers, "elsewhere"> | undefined, log: Log) {
    this.#numbers = numbers;
    this.#log = new LogOnce((line) => log.warn(line));
  }

  /** `command` was answered EEXIST. */
  refused(command: TreeCommand): void {
    const path = command.kind === "rename" ? command.to : command.path;
    const guest = guestPath(path);
    const holder = this.#numbers?.elsewhere(path);
    if (guest === undefined || holder === undefined) return;
    this.#log.say(
      `${path} is refused with "File exists": guest ${guest.vmid} is at ${holder}, ` +
        "and a number exists once in a cluster",
    );
  }
}
