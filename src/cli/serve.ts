/**
 * `pmxcfs-ipc serve`: serves a directory, another server's config.db, or its own tree.
 */
import { dirname, join, resolve } from "node:path";
import { CfsLimits } from "../base/limits.ts";
import { runDaemon } from "../daemon/daemon.ts";
import type { NodeOptions } from "../daemon/node/node.ts";
import { COROSYNC_CONF, LOCK_FILE, PVE, PVE_RESTART_FLAG } from "../base/paths.ts";
import { flag, list, path, text } from "./args.ts";
import { command } from "./command.ts";
import {
  daemonOptions,
  daemonSettings,
  type DaemonValues,
  fromHere,
  hostNode,
  mountSettings,
  withAbsolutePaths,
  writingSettings,
} from "./daemon-options.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import { isMountRule } from "./inject-rules.ts";
import { leaveSoon, logOf } from "./service-options.ts";

const STORE = "Store";
const CLUSTER = "Cluster";

/** The node whose `database` is mounted at `mount`; its lock file is beside the database. */
function nodeOf(
  values: DaemonValues & { readonly local: boolean },
  mount: string,
  database: string,
): NodeOptions {
  const { restartFlag } = daemonSettings(values);
  return {
    mount,
    database,
    local: values.local,
    lockFile: join(dirname(database), LOCK_FILE),
    pidFile: undefined,
    runDirectory: restartFlag === PVE_RESTART_FLAG ? PVE.runDirectory : undefined,
    hostCorosyncConf: COROSYNC_CONF,
    ...mountSettings(values, database),
  };
}

export const serveCommand = command({
  name: "serve",
  summary: "Answer the requests of PVE's tools and all other libqb clients",
  details: [
    "The configuration comes from a directory (--dir), from pmxcfs's database (--db), or from " +
      "the server's own database below --state. Only with --mount is the database changed, the " +
      "tree mounted, and the cluster of its corosync.conf joined.",
    `Fixed limits, as in the C server: files of ${CfsLimits.fileBytes >> 20} MiB, status values ` +
      `of ${CfsLimits.statusBytes >> 10} KiB, a cluster log of ${CfsLimits.clusterLogBytes >> 10} KiB.`,
  ],
  examples: [
    ["serve --mount", "run as the node's pmxcfs: mount /etc/pve, serve pve2"],
    ["serve --dir ./pve --socket test", "serve a plain directory as /etc/pve, without root"],
    ["serve --dir ./pve --socket test --inject get-config:delay=200ms,prob=0.1", "a slow server"],
    ["serve --db /var/lib/pve-cluster/config.db", "serve a node's database, read-only"],
  ],
  options: {
    ...daemonOptions,
    dir: path({ description: "Serve this directory as /etc/pve", hint: "DIR", group: STORE }),
    db: path({ description: "Serve this config.db of pmxcfs", hint: "FILE", group: STORE }),
    mount: path({
      description: `Mount the tree and write the database (--db); without a value: ${PVE.mount}`,
      hint: "DIR",
      bare: PVE.mount,
      group: STORE,
    }),
    local: flag({
      description: "With --mount: no cluster, even with a corosync.conf in the tree",
      alias: "l",
      group: STORE,
    }),
    state: path({
      description: "Directory of the server's own database",
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
      description: "corosync.conf with the cluster and its nodes",
      hint: "FILE",
      group: CLUSTER,
    }),
    online: list({
      description: "Node that counts as online besides this one",
      hint: "NODE",
      group: CLUSTER,
    }),
  },
  async run(given) {
    const values = given.mount === undefined ? given : withAbsolutePaths(given);
    if (values.dir !== undefined && (values.db ?? values.mount) !== undefined) {
      const other = values.db === undefined ? "--mount" : "--db";
      throw new UsageFailure(`--dir and ${other} exclude each other: serve one of them`);
    }
    const { mount } = values;
    const misplaced = mount === undefined ? values.inject.find(isMountRule) : undefined;
    if (misplaced !== undefined) {
      throw new UsageFailure(`--inject "${misplaced}": operations of the mount need --mount`);
    }
    const settings = daemonSettings(values);
    const database = resolve(values.db ?? PVE.database);
    const node = mount === undefined ? {} : { node: nodeOf(values, resolve(mount), database) };
    const failure = await runDaemon({
      ...settings,
      ...node,
      store: {
        dir: values.dir,
        ...(mount === undefined
          ? { db: values.db }
          : { own: database, writing: writingSettings(values) }),
        state: values.state,
        nodeName: values.node ?? hostNode(),
        corosyncConf: mount === undefined ? values.corosyncConf : fromHere(values.corosyncConf),
        online: values.online.length === 0 ? undefined : values.online,
      },
      log: logOf(values),
    });
    if (failure !== undefined) throw new CommandFailure(failure);
    leaveSoon();
  },
});
