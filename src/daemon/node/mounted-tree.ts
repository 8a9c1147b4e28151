/** The mounted tree of the node: the mount with its counters, injected faults and trace socket. */
import { dirname, join } from "node:path";
import type { Log } from "../../base/log.ts";
import { OperationCounters } from "../../fuse/counters.ts";
import type { SessionHooks } from "../../fuse/session.ts";
import type { MountReading } from "../../observe/families.ts";
import type { HistoryRecorder } from "../../pmxcfs/history/recorder.ts";
import { RecordedReplicator } from "../../pmxcfs/history/replicator.ts";
import { AnsweredChanges } from "../../pmxcfs/mount/answered-changes.ts";
import { GuestClashes } from "../../pmxcfs/mount/guest-clash.ts";
import { ChangeLedger } from "../../pmxcfs/store/change-ledger.ts";
import type { Backend } from "../../pmxcfs/store/open.ts";
import type { ServiceControls } from "../run-service.ts";
import type { Composition } from "../services.ts";
import { Mount } from "./mount.ts";
import { MountFaults } from "./mount-faults.ts";
import type { NodeOptions } from "./node.ts";
import { LEDGER_FILE } from "../../base/paths.ts";
import { TraceSocket } from "./trace-socket.ts";

export interface MountedTreeOptions {
  readonly node: NodeOptions;
  readonly backend: Backend;
  readonly composition: Composition;
  readonly history: HistoryRecorder | undefined;
  /** Of group www-data. */
  readonly gid: number;
  readonly log: Log;
}

/** Owns the mount. */
export class MountedTree implements Disposable {
  readonly mount: Mount;
  /** Resolves to the reason when the mount was unmounted or is lost. */
  readonly lost: Promise<string>;
  readonly #end: { failure: string | undefined };
  readonly #directory: string;
  readonly #counters: OperationCounters;
  readonly #faults: MountFaults | undefined;
  readonly #hooks: SessionHooks;
  #trace: TraceSocket | undefined;
  readonly #debug: { controls: ServiceControls | undefined };
  #disposed = false;

  private constructor(parts: Parts) {
    this.mount = parts.mount;
    this.lost = parts.lost;
    this.#end = parts.end;
    this.#directory = parts.directory;
    this.#counters = parts.counters;
    this.#faults = parts.faults;
    this.#hooks = parts.hooks;
    this.#debug = parts.debug;
  }

  /** Mounts the tree; a string says why that failed. */
  static async open(options: MountedTreeOptions): Promise<MountedTree | string> {
    const { node, log } = options;
    const counters = new OperationCounters();
    const faults =
      node.inject.length === 0 ? undefined : new MountFaults(node.inject, log.tagged("inject"));
    const hooks: SessionHooks = {
      answered: (opcode, error, ns) => counters.count(opcode, error, ns),
    };
    if (faults !== undefined) {
      hooks.intercept = (request, fs) => faults.intercept(request, fs);
    }
    const { promise: lost, resolve } = Promise.withResolvers<string>();
    const end: { failure: string | undefined } = { failure: undefined };
    const debug: { controls: ServiceControls | undefined } = { controls: undefined };
    const mount = await Mount.open({
      ...mountOptions(options, debug, openLedger(options)),
      hooks,
      lost(failure) {
        end.failure = failure;
        resolve(failure ?? `${node.mount} was unmounted`);
      },
    });
    if (typeof mount === "string") return mount;
    log.debug(`requests of the kernel wake the event loop by ${mount.wakeKind}`);
    const { cluster } = options.composition;
    if (cluster !== undefined) {
      // Once for all changes of a turn: each notification is a system call.
      let isDue = false;
      options.backend.memdb.subscribe(() => {
        if (isDue || !cluster.appliesForOthers) return;
        isDue = true;
        queueMicrotask(() => {
          isDue = false;
          mount.session?.expireNames();
        });
      });
    }
    const { mount: directory } = node;
    return new MountedTree({ mount, lost, end, hooks, directory, counters, faults, debug });
  }

  /**
   * Why the mount is lost though it was not unmounted: the server must end with an error, so that
   * systemd starts it again. Undefined otherwise.
   */
  get failure(): string | undefined {
    return this.#end.failure;
  }

  /** Opens the trace socket at `path`. A failure is only logged. */
  async openTrace(path: string, log: Log): Promise<void> {
    const trace = await TraceSocket.open(path, this.#hooks);
    if (typeof trace === "string") log.warn(`${trace}; trace --fuse cannot see this mount`);
    else this.#trace = trace;
  }

  /** To be called when the service is up: from then on `.debug` switches its debug output. */
  setControls(controls: ServiceControls): void {
    this.#debug.controls = controls;
  }

  /** For metrics and status. */
  reading(): MountReading {
    const { mount } = this;
    const ages = [...(mount.session?.pending ?? [])].map(({ asker }) => asker.ageMs);
    return {
      directory: this.#directory,
      operations: [...this.#counters.all()],
      waiting: ages.length,
      oldestWaitMs: Math.max(0, ...ages),
      ...mount.fileSystem.held,
    };
  }

  /** Unmounts, unless the mount was handed over. A second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#trace?.[Symbol.dispose]();
    this.mount.close();
    this.#faults?.stop();
  }
}

interface Parts {
  readonly mount: Mount;
  readonly lost: Promise<string>;
  readonly end: { failure: string | undefined };
  readonly directory: string;
  readonly counters: OperationCounters;
  readonly faults: MountFaults | undefined;
  readonly hooks: SessionHooks;
  readonly debug: { controls: ServiceControls | undefined };
}

/** The ledger of the tree's changes. On a node it is below /run: a reboot removes it too. */
function openLedger({ node, backend, log }: MountedTreeOptions): ChangeLedger {
  const { tree } = backend;
  const directory = node.runDirectory ?? dirname(node.database);
  const file = join(directory, LEDGER_FILE);
  const loadedVersion = tree?.loadedVersion ?? 0;
  const ledger = new ChangeLedger({ file, loadedVersion, log });
  if (tree !== undefined) tree.ledger = ledger;
  return ledger;
}

function mountOptions(
  { node, backend, composition, history, gid, log }: MountedTreeOptions,
  debug: { readonly controls: ServiceControls | undefined },
  ledger: ChangeLedger,
): Omit<Parameters<typeof Mount.open>[0], "hooks" | "lost"> {
  const { replicator, texts } = composition;
  const recorded = history === undefined ? replicator : new RecordedReplicator(replicator, history);
  return {
    directory: node.mount,
    memdb: backend.memdb,
    replicator: new AnsweredChanges(recorded, ledger),
    ledger,
    taken: ledger.taken,
    takenOver: () => composition.cluster?.holdChanges(),
    clashes: new GuestClashes(backend.tree?.numbers, log),
    texts: {
      ...texts,
      debug: () => log.debugOn,
      setDebug(on) {
        if (log.debugOn !== on) debug.controls?.toggleDebug();
      },
    },
    mayPoll: () => debug.controls?.needsLoop() !== true,
    nodeName: Buffer.from(backend.members.nodeName).toString("latin1"),
    gid,
    wake: node.wake,
    requestTimeoutSeconds: node.requestTimeoutSeconds,
    hangGuard: node.hangGuard,
    log,
  };
}
