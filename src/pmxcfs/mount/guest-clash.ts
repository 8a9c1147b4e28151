/** Logs where the other guest of a number is: `File exists` alone does not say it. */
import { LogOnce } from "../../base/log-once.ts";
import type { Log } from "../../base/log.ts";
import type { GuestNumbers } from "../state/guest-numbers.ts";
import { guestPath } from "../state/guests.ts";
import type { TreeCommand } from "../state/tree-command.ts";

/** Logs which file holds a guest's number that a change was refused for; no line twice in a row. */
export class GuestClashes {
  readonly #numbers: Pick<GuestNumbers, "elsewhere"> | undefined;
  readonly #log: LogOnce;

  /** `numbers`: of the writable tree; undefined without one, when no number is ever refused. */
  constructor(numbers: Pick<GuestNumbers, "elsewhere"> | undefined, log: Log) {
    this.#numbers = numbers;
    this.#log = new LogOnce((line) => log.warn(line));
  }

  /** To be called when `command` was answered EEXIST. */
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
