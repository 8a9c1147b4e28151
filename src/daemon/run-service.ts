/**
 * Runs a service from start to stop: publishes it, reports readiness to systemd, and at SIGTERM
 * closes everything and removes its files.
 */
import type { Handler } from "../ipc/handler.ts";
import { Service } from "../ipc/service.ts";
import type { Capacity, ServiceOptions } from "../ipc/options.ts";
import type { ListenFailure } from "../ipc/setup/listener.ts";
import type { Log } from "../base/log.ts";
import { NOTHING_OBSERVED, Observation, type Observe } from "../observe/observe.ts";
import { notifier, reportReady, watchdogIntervalMs } from "../platform/notify.ts";
import { onDebugToggle, onHangUp, stopRequested } from "../platform/signals.ts";

/** Controls of a running service. */
export interface ServiceControls {
  /** Switches debug output, requests included; returns the new state. */
  toggleDebug(): boolean;
  /** As Service.needsLoop. */
  needsLoop(): boolean;
}

/** Options of `runService`. */
export interface RunOptions {
  readonly log: Log;
  readonly service: ServiceOptions;
  /** Metrics, status socket, request log; default: none. */
  readonly observe?: Observe;
  /** Called when the service listens. */
  readonly ready?: (controls: ServiceControls) => void;
  /** Stops the service when it resolves (to the reason); default: SIGTERM and SIGINT. */
  readonly stop?: Promise<string>;
  /** Called when a stop begins. */
  readonly stopping?: () => void;
}

/** How many connections there is room for, and a hint when /dev/shm is the limit. */
function capacityText({ connections, byShm, shmBytes }: Capacity): string {
  if (connections <= byShm) return `up to ${connections} connections`;
  const mib = Math.round(shmBytes / 2 ** 20);
  const more = `/dev/shm has ${mib} MiB; docker run --shm-size, mount -o remount,size= give more`;
  return `up to ${byShm} connections of PVE's clients, 1 MiB messages each (${more})`;
}

/**
 * Publishes `name` and serves it until `stop` resolves; returns when everything is closed. A
 * failure says why it could not be published.
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
  // Before anything is made that must be removed: without handlers these signals end the process.
  onDebugToggle(() => {
    main.info(`debug output ${observation.toggleDebug() ? "on" : "off"} (SIGUSR1)`);
  });
  onHangUp((signal) => {
    main.info(`${signal}: ignored; the log is stderr, and changed files are reread automatically`);
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
  if (observe.readyFd !== undefined) reportReady(observe.readyFd, "ready\n");
  notify(`READY=1\nSTATUS=serving ${name}`);
  const interval = watchdogIntervalMs(process.env);
  // Sent by the event loop that serves: when it hangs, no keep-alive is sent.
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
