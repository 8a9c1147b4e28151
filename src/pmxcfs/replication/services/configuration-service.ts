/**
 * The cluster's name, version and nodes, as a running corosync has them: read at the start and
 * again at each change. C counterpart: confdb.c.
 */
import { LogOnce } from "../../../base/log-once.ts";
import type { Log } from "../../../base/log.ts";
import { Cmap } from "../../../corosync/cmap.ts";
import { CsError, csErrorName, CsFailure } from "../../../corosync/cs-error.ts";
import { CmapTrack } from "../../../corosync/layouts.ts";
import type { ClusterFacts } from "../../state/members.ts";
import { CONFIG_VERSION, factsOf, NODES } from "./cluster-facts.ts";
import type { ClusterService } from "./service.ts";

/** Pause after a read that corosync refuses, since its membership is changing. */
const READ_AGAIN_MS = 100;

export interface ConfigurationServiceOptions {
  readonly log: Log;
  /** Called after each complete read. */
  readonly read: (facts: ClusterFacts) => void;
  /** Called when the connection has ended. */
  readonly lost: () => void;
}

export class ConfigurationService implements ClusterService {
  readonly name = "confdb";
  readonly call = "cmap_initialize";
  readonly #log: Log;
  /** For lines about the connection, which have another tag in C. */
  readonly #connectionLog: Log;
  readonly #complaints: LogOnce;
  readonly #read: (facts: ClusterFacts) => void;
  readonly #lost: () => void;
  #cmap: Cmap | undefined;
  readonly #known = Promise.withResolvers<void>();
  /** Changes that have not been followed by a read yet. */
  #changes = 0;
  #reading = false;

  constructor({ log, read, lost }: ConfigurationServiceOptions) {
    this.#log = log.tagged("status");
    this.#connectionLog = log.tagged(this.name);
    this.#complaints = new LogOnce((line) => this.#connectionLog.error(line));
    this.#read = read;
    this.#lost = lost;
  }

  get connected(): boolean {
    return this.#cmap !== undefined;
  }

  get isUp(): boolean {
    return this.connected;
  }

  /** Resolves once the nodes are known. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  async start(): Promise<CsFailure | undefined> {
    this.#changes = 0;
    const cmap = await Cmap.connect({
      changed: () => this.#changed(),
      ended: ({ error, message }) => {
        // Before, the start returns why it failed. C prints this error as a number.
        if (this.#cmap !== undefined) {
          this.#connectionLog.error(`cmap_dispatch failed: ${error} (${message})`);
        }
        this.#cmap = undefined;
        this.#lost();
      },
    });
    if (cmap instanceof CsFailure) return cmap;
    try {
      return await this.#begin(cmap);
    } finally {
      if (this.#cmap !== cmap) cmap.close();
    }
  }

  /** Tracks changes and makes the first read; `#cmap` is set when both have worked. */
  async #begin(cmap: Cmap): Promise<CsFailure | undefined> {
    const all = CmapTrack.ADD | CmapTrack.MODIFY | CmapTrack.DELETE;
    const tracked = [
      await cmap.track(NODES, all | CmapTrack.PREFIX),
      await cmap.track(CONFIG_VERSION, all),
    ];
    const failed = tracked.find((error) => error !== CsError.OK);
    const facts = failed ?? (await factsOf(cmap));
    if (typeof facts === "number") {
      return new CsFailure(facts, "the nodes cannot be read from cmap");
    }
    // `ended` was called before there was anything to end.
    if (cmap.closed) return new CsFailure(CsError.LIBRARY, "cmap closed the connection");
    this.#take(facts);
    this.#cmap = cmap;
    if (this.#changes > 0) void this.#readAgain();
    return undefined;
  }

  tick(): void {}

  async stop(): Promise<void> {
    await Promise.resolve();
    this.#cmap?.close();
    this.#cmap = undefined;
  }

  /** Each change is followed by a read of its own, as in C, since each read moves a counter. */
  #changed(): void {
    this.#changes++;
    // Changes during the first read are handled after it.
    if (this.#cmap !== undefined) void this.#readAgain();
  }

  /** One at a time: each of two would take the same change for its own. */
  async #readAgain(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    while (this.#changes > 0 && this.#cmap !== undefined) {
      const cmap = this.#cmap;
      const facts = await factsOf(cmap);
      if (this.#cmap !== cmap) continue;
      if (typeof facts === "number") {
        this.#complaints.say(`cmap cannot be read (${csErrorName(facts)}): it is tried again`);
        await Bun.sleep(READ_AGAIN_MS);
        continue;
      }
      this.#complaints.clear();
      this.#changes--;
      this.#take(facts);
    }
    this.#reading = false;
  }

  #take(facts: ClusterFacts): void {
    const { clusterName, configVersion, nodes } = facts;
    this.#log.info(
      `update cluster info (cluster name  ${clusterName}, version = ${configVersion})`,
    );
    if (nodes.length === 0) this.#log.warn("corosync's nodelist names no node");
    this.#read(facts);
    this.#known.resolve();
  }
}
