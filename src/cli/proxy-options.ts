/**
 * The options of `trace` and `record`: the server, the name to listen on, and limits of the proxy.
 */
import { PVE_SERVICE } from "../base/paths.ts";
import { accessOf } from "../daemon/access-rules.ts";
import { findGroup } from "../platform/groups.ts";
import { QbFailure } from "../client/failure.ts";
import { QbClient } from "../client/qb-client.ts";
import { IpcLimits, PVE_MESSAGE_BYTES } from "../base/limits.ts";
import { mayUseOtherIds } from "../platform/socket.ts";
import { runService } from "../daemon/run-service.ts";
import type { Watcher } from "../tools/trace/exchange.ts";
import { ImpersonatingUpstream } from "../tools/trace/impersonating-upstream.ts";
import { Proxy } from "../tools/trace/proxy.ts";
import { type UpstreamPool, Upstream } from "../tools/trace/upstream.ts";
import { accessOptions, accessRules } from "./access-options.ts";
import { bytes, flagOn, text, type Values } from "./args.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import { logOf, serviceOptions, serviceSettings } from "./service-options.ts";

export const proxyOptions = {
  ...serviceOptions,
  socket: text({ description: "Service name to listen on", hint: "NAME" }),
  upstream: text({ description: "Service to forward to", hint: "NAME", default: PVE_SERVICE }),
  upstreamMessageSize: bytes({
    description: "Largest message of upstream connections",
    default: PVE_MESSAGE_BYTES,
    min: IpcLimits.minMessageBytes,
    max: IpcLimits.mostMessageBytes,
  }),
  asClient: flagOn({
    without: "Do not connect with each client's uid and gid, as root does by default",
  }),
  ...accessOptions,
} as const;

/** Connections with each client's own credentials if possible, else with those of this process. */
async function connectUpstream(
  name: string,
  messageBytes: number,
  asClient: boolean,
): Promise<UpstreamPool | QbFailure> {
  if (asClient && process.getuid?.() === 0 && mayUseOtherIds()) {
    const first = await QbClient.connect(name, { maxMessageBytes: messageBytes });
    if (first instanceof QbFailure) return first;
    first.close();
    return new ImpersonatingUpstream(name, messageBytes);
  }
  const upstream = new Upstream(name, messageBytes);
  const first = await upstream.probe();
  if (!(first instanceof QbFailure)) return upstream;
  upstream[Symbol.dispose]();
  return first;
}

/** Runs the proxy until SIGTERM or SIGINT, and delivers the last reports to `watcher`. */
export async function runProxy(
  values: Values<typeof proxyOptions>,
  watcher: Watcher,
): Promise<void> {
  const { socket } = values;
  if (socket === undefined) throw new UsageFailure("--socket is missing");
  if (socket === values.upstream) {
    throw new UsageFailure("--socket and --upstream must be different names");
  }
  const log = logOf({ ...values, socket });
  const rules = accessRules(values);
  const access = accessOf(rules, findGroup(rules.group), log.tagged("main"));
  const { upstream: name, upstreamMessageSize, asClient } = values;
  const connected = await connectUpstream(name, upstreamMessageSize, asClient);
  if (connected instanceof QbFailure) throw new CommandFailure(String(connected));
  using upstream = connected;
  const proxy = new Proxy(upstream, access, watcher);
  const failure = await runService(socket, proxy, {
    log,
    service: serviceSettings({ ...values, socket }),
  });
  proxy.flush();
  if (failure !== undefined) throw new CommandFailure(failure.message);
}
