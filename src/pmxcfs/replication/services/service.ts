/**
 * One of the four services by which a node takes part in its cluster (quorum, confdb, dcdb,
 * status), and the loop that keeps them up: each is started on its own, and again when its
 * connection ended. C counterpart: loop.c, which tries every 6 s. A try costs microseconds here, so
 * it is made twice a second: a node is back half a second after its corosync. While all services
 * are connected, nothing is tried.
 */
import { within } from "../../../base/within.ts";
import { everySecond } from "../../../base/heartbeat.ts";
import { LogOnce } from "../../../base/log-once.ts";
import type { Log } from "../../../base/log.ts";
import { CsError, csErrorName, type CsFailure } from "../../../corosync/cs-error.ts";

/** Pause between two tries of one service. */
const RETRY_MS = 500;
/** If a tick comes so late, the process was stopped meanwhile, or its machine was. */
const STOPPED_MS = 5000;
/** A start may take this long before the next service is started. */
const START_MS = 1000;

export interface ClusterService {
  /** The tag of its log lines. */
  readonly name: string;
  /** The call that log lines name when it fails, as in C: `cpg_initialize`. */
  readonly call: string;
  readonly connected: boolean;
  /** True when there is nothing to start: connected, or disconnected on purpose. */
  readonly isUp: boolean;
  /**
   * Connects, or returns why it could not. Never called while a call of it is running. After a
   * throw, as after a failure, it is not connected.
   */
  start(): Promise<CsFailure | undefined>;
  /** Once a second. */
  tick(): void;
  /** Ends the service in order: the other members see a leave. */
  stop(): Promise<void>;
}

interface Supervised {
  readonly service: ClusterService;
  readonly complaints: LogOnce;
  readonly log: Log;
  starting: boolean;
  nextMs: number;
}

export class Supervisor {
  readonly #services: readonly Supervised[];
  #ticks: Disposable | undefined;
  #tickedMs = performance.now();
  #wasStopped = false;
  /** Undefined while all services are connected. */
  #tries: Timer | undefined;
  #stopped = false;
  #busy = false;

  /** In the order in which they are started. */
  constructor(services: readonly ClusterService[], log: Log) {
    this.#services = services.map((service) => {
      const tagged = log.tagged(service.name);
      const complaints = new LogOnce((line) => {
        tagged.error(line);
        tagged.error("can't initialize service");
      });
      return { service, complaints, log: tagged, starting: false, nextMs: 0 };
    });
  }

  start(): void {
    void this.#startAll();
    this.tryUntilConnected();
    this.#ticks = everySecond(() => this.#tick());
  }

  /**
   * After a stop, what came meanwhile is read first: the answers of changes whose deadline is over
   * may be in it, and the messages of members that would be called mute.
   */
  #tick(): void {
    const nowMs = performance.now();
    this.#wasStopped = !this.#wasStopped && nowMs - this.#tickedMs > STOPPED_MS;
    this.#tickedMs = nowMs;
    if (this.#wasStopped) return;
    for (const { service } of this.#services) service.tick();
  }

  /** Starts what is not connected. To be called when a service has lost its connection. */
  tryUntilConnected(): void {
    if (this.#stopped) return;
    this.#tries ??= setInterval(() => void this.#startAll(), RETRY_MS / 2);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#ticks?.[Symbol.dispose]();
    clearInterval(this.#tries);
    for (const { service } of this.#services) await service.stop();
  }

  /** One after the other, so that members are known before their keys come. */
  async #startAll(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    for (const supervised of this.#services) {
      const { service, starting, nextMs } = supervised;
      if (service.isUp || starting || performance.now() < nextMs) continue;
      supervised.starting = true;
      supervised.nextMs = performance.now() + RETRY_MS;
      // One that hangs delays the others by no more than this.
      await within(this.#start(supervised), START_MS);
    }
    this.#busy = false;
    if (this.#services.every(({ service }) => service.connected)) {
      clearInterval(this.#tries);
      this.#tries = undefined;
    }
  }

  async #start(supervised: Supervised): Promise<void> {
    const { service, complaints, log } = supervised;
    const problem = await problemOf(service);
    supervised.starting = false;
    if (this.#stopped) return;
    if (problem === undefined) {
      complaints.clear();
      if (service.isUp) log.debug("connected to corosync");
      return;
    }
    complaints.say(`${service.call} failed: ${problem}`);
  }
}

/**
 * Starts a service; why that failed. An exception is a bug: it ends this start only, since without
 * another one the service would be missing until the server is restarted.
 */
async function problemOf(service: ClusterService): Promise<string | undefined> {
  try {
    const failure = await service.start();
    return failure && failureText(failure);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

/** As C logs it, then our cause: `CS_ERR_LIBRARY (failed to connect to corosync): ...`. */
function failureText({ error, message }: CsFailure): string {
  const name = csErrorName(error);
  const known = error === CsError.LIBRARY ? `${name} (failed to connect to corosync)` : name;
  return `${known}: ${message}`;
}
