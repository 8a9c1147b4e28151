/** Lines to the system's log (/dev/log, RFC 3164 as syslog(3) writes it), for a daemon. */
import { cString, shim } from "./shim.ts";

const DEV_LOG = "/dev/log";
/** LOG_DAEMON. */
const FACILITY = 3 << 3;
/** Lines begin with their priority, as the log's format `journal` writes them. */
const LINE = /^<(\d)>(.*)/s;

/**
 * A writer for lines of the format `journal`: each goes to /dev/log as `name[pid]: line`, and to
 * `also` without its priority.
 */
export function syslogWriter(
  name: string,
  also: (text: string) => void,
): (line: string) => boolean {
  const socket = cString(DEV_LOG);
  return (line) => {
    const [, priority = "6", text = line] = LINE.exec(line.trimEnd()) ?? [];
    also(`${text}\n`);
    const message = `<${FACILITY | Number(priority)}>${name}[${process.pid}]: ${text}`;
    shim.shim_notify(socket, cString(message));
    // There may be no syslog: there is nowhere to report that.
    return true;
  };
}
