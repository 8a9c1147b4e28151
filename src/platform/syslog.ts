/** Sends a daemon's log lines to /dev/log, in the format of syslog(3) (RFC 3164). */
import { cString, shim } from "./shim.ts";

const DEV_LOG = "/dev/log";
/** LOG_DAEMON. */
const FACILITY = 3 << 3;
/** A line of the log format `journal`, which begins with its priority. */
const LINE = /^<(\d)>(.*)/s;

/**
 * A writer for lines of the format `journal`: sends each to /dev/log as `name[pid]: line`, and to
 * `also` without the priority.
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
    // A failure is ignored: without syslog there is nowhere to report it.
    return true;
  };
}
