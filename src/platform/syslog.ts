/** Sends a daemon's log lines to /dev/log, in the format of syslog(3) (RFC 3164). */
import { cText, shim } from "./shim.ts";

/** LOG_DAEMON. */
const FACILITY = 3 << 3;
/** A line of the log format `journal`, which begins with its priority. */
const LINE = /^<(\d)>(.*)/s;

/**
 * A writer for lines of the format `journal`: sends each to /dev/log as `name[pid]: line`, and to
 * `also` without the priority. Nothing is reported if /dev/log cannot be written: without syslog
 * there is nowhere to report it. `path` is for tests.
 */
export function syslogWriter(
  name: string,
  also: (text: string) => void,
  path = "/dev/log",
): (line: string) => boolean {
  const socket = cText(path);
  return (line) => {
    const [, priority = "6", text = line] = LINE.exec(line.trimEnd()) ?? [];
    also(`${text}\n`);
    const message = `<${FACILITY | Number(priority)}>${name}[${process.pid}]: ${text}`;
    shim.shim_notify(socket, cText(message));
    return true;
  };
}
