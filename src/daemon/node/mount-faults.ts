/**
 * Fault injection for the mount, for testing tools against an /etc/pve that is slow, broken or
 * hangs: rules that delay an operation, fail it, or block the event loop.
 */
import type { Errno } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { pathOfRequest } from "../../fuse/describe.ts";
import type { FileSystem } from "../../fuse/file-system.ts";
import { opcodeName } from "../../fuse/opcodes.ts";
import type { FuseRequest } from "../../fuse/request.ts";
import { dice } from "../fault-injection.ts";

/** One `--inject` for operations of the mount. */
export interface MountFaultRule {
  /** The option's text, for the log. */
  readonly text: string;
  /** An operation's name (linux/fuse.h, lower case), or every operation. */
  readonly operation: string;
  /** Only this path below the mount, latin1. */
  readonly path: string | undefined;
  readonly uid: number | undefined;
  /** 0 to 1. */
  readonly probability: number;
  readonly seed: number;
  readonly delayMs: number;
  readonly errno: Errno | undefined;
  /** The event loop is blocked for this long: nothing is answered, IPC included. */
  readonly loopMs: number;
}

export const ANY_MOUNT_OPERATION = "mount";

interface Armed {
  readonly rule: MountFaultRule;
  readonly random: () => number;
  strikes: number;
}

function holdLoop(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

export class MountFaults {
  readonly #rules: readonly Armed[];
  readonly #log: Log;

  constructor(rules: readonly MountFaultRule[], log: Log) {
    this.#rules = rules.map((rule) => ({ rule, random: dice(rule.seed), strikes: 0 }));
    this.#log = log;
    const listed = rules.map(({ text, seed }) => `"${text}" (seed ${seed})`).join(", ");
    log.warn(`FAULT INJECTION IS ON: operations of the mount will fail on purpose, by ${listed}`);
  }

  /** As SessionHooks.intercept: an errno is the answer, 0 continues, a promise delays. */
  intercept(request: FuseRequest, fs: FileSystem): number | Promise<number> {
    const rule = this.#strike(request, fs);
    if (rule === undefined) return 0;
    if (rule.loopMs > 0) holdLoop(rule.loopMs);
    const errno = rule.errno ?? 0;
    return rule.delayMs === 0 ? errno : Bun.sleep(rule.delayMs).then(() => errno);
  }

  /** At a stop: logs how often each rule was applied. */
  stop(): void {
    const counts = this.#rules.map(({ rule, strikes }) => `${strikes} by "${rule.text}"`);
    this.#log.warn(`injected faults of the mount: ${counts.join(", ")}`);
  }

  #strike(request: FuseRequest, fs: FileSystem): MountFaultRule | undefined {
    const operation = opcodeName(request.opcode);
    for (const armed of this.#rules) {
      const { rule } = armed;
      const isMeant = rule.operation === operation || rule.operation === ANY_MOUNT_OPERATION;
      if (!isMeant || (rule.uid ?? request.uid) !== request.uid) continue;
      if (rule.path !== undefined && rule.path !== pathOfRequest(request, fs)) continue;
      if (armed.random() >= rule.probability) continue;
      armed.strikes++;
      return rule;
    }
    return undefined;
  }
}
