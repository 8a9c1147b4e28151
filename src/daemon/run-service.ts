/**
 * The life of a serving process: publishes a service, reports readiness to systemd, and after
 * SIGTERM leaves nothing behind.
 */
import type { Handler } from "../ipc/handler.ts";
import { Service } from "../ipc/service.ts";
import type { Capacity, ServiceOptions } from "../ipc/options.ts";
import type { ListenFailure } from "../ipc/setup/listener.ts";
import type { Log } from "../base/log.ts";
import { NOTHING_OBSERVED, Observation, type Observe } from "../observe/observe.ts";
import { notifier, tellReady, watchdogIntervalMs } from "../platform/notify.ts";
import { onDebugToggle, onHangUp, stopRequested } from "../platform/signals.ts";

/** Controls of a running service. */
export interface ServiceControls {
  /** Switches debug output, requests included; returns the new state. */
  toggleDebug(): boolean;
  /** As Service.needsLoop. */
  needsLoop(): boolean;
}

/** Callbacks and outlets around a service. */
export interface RunOptions {
  readonly log: Log;
  readonly service: ServiceOptions;
  /** What it shows to the outside; nothing unless given. */
  readonly observe?: Observe;
  /** Called when it listens. */
  readonly ready?: (controls: ServiceControls) => void;
  /** Stops the service when it resolves, to the reason; SIGTERM and SIGINT unless given. */
  readonly stop?: Promise<string>;
  /** Called when a stop begins. */
  readonly stopping?: () => void;
}

/** The number of connections there is room for, and the bound when that is /dev/shm. */
function capacityText({ connections, byShm, shmBytes }: Capacity): string {
  if (connections <= byShm) return `up to ${connections} connections`;
  const mib = Math.round(shmBytes / 2 ** 20);
  const more = `/dev/shm has ${mib} MiB; docker run --shm-size, mount -o remount,size= give more`;
  return `up to ${byShm} connections of PVE's clients, 1 MiB messages each (${more})`;
}

/**
 * Publishes `name` and serves it until SIGTERM or SIGINT; resolves when all is closed. A failure
 * says why it could not be published.
 */
export async function runService(
  name: string,
  handler: Handler,
  {
    log,
    service: options,
    observe = NOTHING_OBSERVED,
    ready,
    stopping,
    stop = stopRequested(),
  }: RunOptions,
): Promise<Pick<ListenFailure, "message"> | undefined> {
  const main = log.tagged("main");
  const notify = notifier(process.env);
  const observation = new Observation(handler, observe, log);
  const settings = { ...options, log: log.tagged("ipcs") };
  // Before there is anything to leave behind: without a handler these end a process.
  onDebugToggle(() => {
    main.info(`debug output ${observation.toggleDebug() ? "on" : "off"} (SIGUSR1)`);
  });
  onHangUp((signal) => {
    main.info(`${signal}: stderr is the log, and what is served is reread by itself; going on`);
  });
  const service = Service.start(name, observation.handler, settings);
  if (!(service instanceof Service)) return service;
  const unobserved = await observation.open(service);
  if (unobserved !== undefined) {
    await service.stop();
    return { message: unobserved };
  }
  ready?.({
    toggleDebug: () => observation.toggleDebug(),
    needsLoop: () => service.needsLoop,
  });
  main.info(`serving ${name}, ${capacityText(service.capacity)}`);
  if (observe.readyFd !== undefined) tellReady(observe.readyFd);
  notify(`READY=1\nSTATUS=serving ${name}`);
  const interval = watchdogIntervalMs(process.env);
  // Sent from the loop that serves, so that a hung loop sends no keep-alive.
  const watchdog =
    interval === undefined ? undefined : setInterval(() => notify("WATCHDOG=1"), interval);
  const signal = await stop;
  main.info(`${signal}: stopping`);
  notify("STOPPING=1");
  clearInterval(watchdog);
  stopping?.();
  await service.stop();
  observation.close();
  return undefined;
}
