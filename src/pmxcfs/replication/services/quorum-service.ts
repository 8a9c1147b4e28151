/**
 * Whether this partition is quorate, from the node's corosync: tracked, and also queried, in case
 * an event was missed. C counterpart: quorum.c.
 */
import type { Log } from "../../../base/log.ts";
import { within } from "../../../base/within.ts";
import { CsError, csErrorName, CsFailure } from "../../../corosync/cs-error.ts";
import { Quorum, type QuorumState } from "../../../corosync/quorum.ts";
import type { ClusterService } from "./service.ts";

/** Seconds between two queries. */
const ASK_EVERY = 5;
/** Limit for one query: corosync answers it when a membership change is complete. */
const ANSWER_MS = 2000;
/** Pause before another query: corosync refused one (TRY_AGAIN), or an event came meanwhile. */
const ASK_AGAIN_MS = 5;

export interface QuorumServiceOptions {
  readonly log: Log;
  /** Called at each change of quorum, and with each new list of nodes. */
  readonly changed: (quorate: boolean, nodes: readonly number[]) => void;
  /** Called when the connection has ended. */
  readonly lost: () => void;
}

export class QuorumService implements ClusterService {
  readonly name = "quorum";
  readonly call = "quorum_initialize";
  readonly #log: Log;
  /** For lines about the connection, which have another tag in C. */
  readonly #connectionLog: Log;
  readonly #changed: QuorumServiceOptions["changed"];
  readonly #lost: () => void;
  #quorum: Quorum | undefined;
  #quorate = false;
  #nodes: readonly number[] = [];
  /** Number of events so far. */
  #events = 0;
  #ticks = 0;

  constructor({ log, changed, lost }: QuorumServiceOptions) {
    this.#log = log.tagged("status");
    this.#connectionLog = log.tagged(this.name);
    this.#changed = changed;
    this.#lost = lost;
  }

  get connected(): boolean {
    return this.#quorum !== undefined;
  }

  get isUp(): boolean {
    return this.connected;
  }

  get quorate(): boolean {
    return this.#quorate;
  }

  /** The nodes of this partition. */
  get nodes(): readonly number[] {
    return this.#nodes;
  }

  async start(): Promise<CsFailure | undefined> {
    const quorum = await Quorum.connect({
      changed: (state) => {
        this.#events++;
        this.#take(state.quorate, state.nodes);
      },
      ended: (failure) => {
        const { error, message } = failure;
        const line = `quorum_dispatch failed: ${csErrorName(error)} (${message})`;
        // Before, the start returns why it failed.
        if (this.#quorum !== undefined) this.#connectionLog.error(line);
        this.#quorum = undefined;
        this.#take(false, []);
        this.#lost();
      },
    });
    if (quorum instanceof CsFailure) return quorum;
    try {
      const failure = await trackingFailure(quorum);
      if (failure !== undefined) return failure;
      // `ended` was called before there was anything to end.
      if (quorum.closed) return new CsFailure(CsError.LIBRARY, "quorum closed the connection");
      this.#quorum = quorum;
      return undefined;
    } finally {
      if (this.#quorum !== quorum) {
        quorum.close();
        // The first event comes before the answer to the request for it.
        this.#take(false, []);
      }
    }
  }

  tick(): void {
    if (++this.#ticks % ASK_EVERY === 0) void this.refresh();
  }

  /** Handles the events that have arrived. */
  drain(): void {
    this.#quorum?.drain();
  }

  /**
   * Queries corosync, and handles the events that have arrived by then. corosync answers when a
   * membership change that is under way is complete: after a confchg, this gives the quorum state
   * that belongs to it.
   */
  async refresh(): Promise<void> {
    const quorum = this.#quorum;
    if (quorum === undefined) return;
    const until = performance.now() + ANSWER_MS;
    for (;;) {
      const events = this.#events;
      const quorate = await within(quorum.quorate(), until - performance.now());
      quorum.drain();
      if (quorum !== this.#quorum || quorate === undefined || quorate === this.#quorate) return;
      const isAnswer = typeof quorate === "boolean";
      if (isAnswer && events === this.#events) {
        this.#log.warn(`a quorum event was missed: corosync says quorate ${String(quorate)}`);
        this.#take(quorate, this.#nodes);
        return;
      }
      // An answer is read later than an event: one that came meanwhile may be newer.
      const isOver = performance.now() >= until;
      if (isOver || (!isAnswer && quorate !== CsError.TRY_AGAIN)) return;
      await Bun.sleep(ASK_AGAIN_MS);
    }
  }

  async stop(): Promise<void> {
    await Promise.resolve();
    this.#quorum?.close();
    this.#quorum = undefined;
  }

  #take(quorate: boolean, nodes: QuorumState["nodes"]): void {
    if (quorate !== this.#quorate) {
      this.#log.info(quorate ? "node has quorum" : "node lost quorum");
    }
    this.#quorate = quorate;
    this.#nodes = nodes;
    this.#changed(quorate, nodes);
  }
}

async function trackingFailure(quorum: Quorum): Promise<CsFailure | undefined> {
  const provider = await quorum.hasProvider();
  if (provider === false) {
    const text = "corosync has no quorum provider: set one in corosync.conf (quorum.provider)";
    return new CsFailure(CsError.NOT_SUPPORTED, text);
  }
  if (provider !== true) return new CsFailure(provider, "quorum_getquorate type");
  const error = await quorum.track();
  return error === CsError.OK ? undefined : new CsFailure(error, "quorum_trackstart");
}
