/**
 * `serve --dir` of the directory in argv[3], on the name in argv[2], that gets the signals of
 * administrators while it opens its store. Runs until SIGTERM.
 */
import { createLog } from "../../../src/base/log.ts";
import { runDaemon } from "../../../src/daemon/daemon.ts";

const [, , socket = "", directory = ""] = process.argv;

const failure = await runDaemon({
  socket,
  store: {
    nodeName: "pve1",
    get dir() {
      for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2"] as const) {
        process.kill(process.pid, signal);
      }
      return directory;
    },
  },
  access: { group: "0", allowUids: [], allowGids: [], readOnly: false },
  rrd: undefined,
  service: {},
  observe: { metrics: undefined, textfile: undefined, status: undefined, readyFd: undefined },
  restartFlag: undefined,
  strictReads: false,
  inject: [],
  log: createLog({ level: "info", format: "bare" }),
});
if (failure !== undefined) throw new Error(failure);
process.exit();
