/** `pmxcfs-ipc serve`: the server, from a directory, a config.db or a store of its own. */
import { hostname } from "node:os";
import { CfsLimits } from "../base/limits.ts";
import { runDaemon } from "../daemon/daemon.ts";
import { PVE_RESTART_FLAG } from "../daemon/restart-flag.ts";
import { accessOptions, accessRules } from "./access-options.ts";
import { flagOn, list, path, repeated, text } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import { parseFaultRule } from "./inject-rules.ts";
import {
  leaveSoon,
  logOf,
  observeOptions,
  observeSettings,
  serviceOptions,
  serviceSettings,
} from "./service-options.ts";

const STORE = "Store";
const CLUSTER = "Cluster";
const RRD = "RRD files";
const FAULTS = "Faults on purpose";

/** Seeds end here. */
const SEEDS = 2 ** 32;

/** The host's name without its domain, as pmxcfs takes it. */
function defaultNode(): string {
  return hostname().split(".")[0] ?? "localhost";
}

/** The restart flag's path: PVE's clients look for it at a server that stands in for pmxcfs. */
function restartFlagOf(given: string | undefined, socket: string): string | undefined {
  if (given !== undefined) return given === "off" ? undefined : given;
  return socket === "pve2" && process.getuid?.() === 0 ? PVE_RESTART_FLAG : undefined;
}

export const serveCommand = command({
  name: "serve",
  summary: "Serve the requests of pmxcfs to PVE's tools and every other libqb client",
  details: [
    "The configuration comes from a directory (--dir), from pmxcfs's own database (--db), which " +
      "is never written, or else from a database of its own under --state.",
    `Fixed, as in the C server: files of ${CfsLimits.fileBytes >> 20} MiB, status values of ` +
      `${CfsLimits.statusBytes >> 10} KiB, a cluster log of ${CfsLimits.clusterLogBytes >> 10} KiB.`,
  ],
  examples: [
    ["serve --dir ./pve --socket test", "serve a plain directory as /etc/pve, without root"],
    ["serve --dir ./pve --socket test --inject get-config:delay=200ms,prob=0.1", "a slow server"],
    ["serve --db /var/lib/pve-cluster/config.db", "serve a node's database, read-only"],
  ],
  options: {
    ...serviceOptions,
    ...observeOptions,
    dir: path({ description: "Serve this directory as /etc/pve", hint: "DIR", group: STORE }),
    db: path({ description: "Serve this config.db of pmxcfs", hint: "FILE", group: STORE }),
    state: path({
      description: "Where the database of its own is kept",
      hint: "DIR",
      defaultText: "/var/lib/pmxcfs-ipc for root, else below ~/.local/state",
      group: STORE,
    }),
    node: text({
      description: "Name of this node",
      hint: "NAME",
      defaultText: "the host's",
      group: CLUSTER,
    }),
    corosyncConf: path({
      description: "Take cluster and nodes from this corosync.conf",
      hint: "FILE",
      group: CLUSTER,
    }),
    online: list({
      description: "Nodes that count as online besides this one",
      hint: "NODE",
      group: CLUSTER,
    }),
    restartFlag: path({
      description: "Made at a stop, so that PVE's clients wait for a restart; off makes none",
      hint: "FILE",
      defaultText: `${PVE_RESTART_FLAG} for root and pve2, else off`,
      group: CLUSTER,
    }),
    ...accessOptions,
    rrd: flagOn({
      without: "Do not write RRD files (through rrdcached or, while none runs, rrdtool)",
      group: RRD,
    }),
    rrdcached: path({
      description: "Socket of rrdcached",
      default: "/var/run/rrdcached.sock",
      group: RRD,
    }),
    rrdDir: path({
      description: "Directory of the RRD files",
      hint: "DIR",
      default: "/var/lib/rrdcached/db",
      group: RRD,
    }),
    inject: repeated({
      description: "Make requests fail or wait, for tests; docs/tracing.md has the words",
      hint: "RULE",
      group: FAULTS,
    }),
  },
  async run(values) {
    if (values.dir !== undefined && values.db !== undefined) {
      throw new UsageFailure("--dir and --db exclude each other: serve one of them");
    }
    const inject = values.inject.map((rule) =>
      parseFaultRule(rule, Math.floor(Math.random() * SEEDS)),
    );
    const failure = await runDaemon({
      socket: values.socket,
      store: {
        dir: values.dir,
        db: values.db,
        state: values.state,
        nodeName: values.node ?? defaultNode(),
        corosyncConf: values.corosyncConf,
        online: values.online.length === 0 ? undefined : values.online,
      },
      access: accessRules(values),
      rrd: values.rrd ? { socketPath: values.rrdcached, baseDirectory: values.rrdDir } : undefined,
      service: serviceSettings(values),
      observe: observeSettings(values),
      restartFlag: restartFlagOf(values.restartFlag, values.socket),
      inject,
      log: logOf(values),
    });
    if (failure !== undefined) throw new CommandFailure(failure);
    leaveSoon();
  },
});
