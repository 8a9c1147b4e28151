/** Each request that only reads: answered, in time, of a size clients can take, and well-formed. */
import { jsonText } from "../../../base/escape.ts";
import { errnoName, errnoText } from "../../../base/errno.ts";
import { QbFailure } from "../../../client/failure.ts";
import { PVE_MESSAGE_BYTES } from "../../../client/qb-client.ts";
import { type Finding, found, pass, skip } from "../finding.ts";
import type { Context, Probe } from "../probe.ts";
import { type Read, READS } from "../read-requests.ts";
import { type Answer, isRecord, parseJson } from "../session.ts";
import { serverPid, stranger } from "./handshake.ts";

/** From this share of a client's buffer a reply is a warning. */
const LARGE_PERCENT = 75;

/** With less of the time of all checks left, no further request is made. */
const LEAST_MS = 1_000;

/** Characters of a reply that is no JSON, shown to recognise it by. */
const SAMPLE_CHARS = 40;

function measure({ name: request }: Read, { bytes, ms }: Answer) {
  return [
    { name: "reply_seconds", request, value: ms / 1000, unit: "s" },
    { name: "reply_bytes", request, value: bytes, unit: "bytes", limit: PVE_MESSAGE_BYTES },
  ] as const;
}

function judgeSize(read: Read, answer: Answer): Finding | undefined {
  const limit = PVE_MESSAGE_BYTES;
  const { bytes } = answer;
  const measures = measure(read, answer);
  const values = { request: read.name, call: read.call, bytes, limit };
  if (bytes > limit) return found("REPLY_TOO_LARGE", values, { measures });
  const percent = Math.floor((bytes / limit) * 100);
  if (percent < LARGE_PERCENT) return undefined;
  return found("REPLY_LARGE", { ...values, percent }, { measures });
}

async function judge(context: Context, read: Read, answer: Answer): Promise<Finding> {
  const { error, body } = answer;
  const request = read.name;
  const known = read.mayFail.some((errno) => errno === error);
  if ((error !== 0 && !known) || (error === 0 && read.mustFail === true)) {
    const name = error === 0 ? "success" : errnoName(error);
    return found("REQUEST_ERROR", { request, name, text: errnoText(error) });
  }
  if (error === 0 && read.reply === "json" && body.length === 0) {
    return found("REPLY_EMPTY", { request, pid: await serverPid(context) });
  }
  if (error === 0 && read.reply === "json" && !isRecord(parseJson(body))) {
    const detail = `it begins ${jsonText(body.toString("latin1", 0, SAMPLE_CHARS))}`;
    return found("REPLY_NOT_JSON", { request, detail, call: read.call });
  }
  const size = judgeSize(read, answer);
  if (size !== undefined) return size;
  const what = error === 0 ? `${answer.bytes} bytes` : `${errnoName(error)}, as it should`;
  const line = `${request}: ${what} in ${answer.ms.toFixed(2)} ms`;
  return pass("requests", line, measure(read, answer));
}

/** The connection ended instead of an answer: was the reply too large for it? */
async function ended(context: Context, read: Read): Promise<Finding> {
  context.session.reconnect();
  const again = await context.session.readLarge(read, context.left());
  if (again instanceof QbFailure) {
    if (again.kind === "absent") context.session.giveUp("the server is gone");
    return found("REQUEST_DISCONNECTED", { request: read.name });
  }
  return judgeSize(read, again) ?? found("REQUEST_DISCONNECTED", { request: read.name });
}

async function failed(context: Context, read: Read, failure: QbFailure): Promise<Finding> {
  const request = read.name;
  const pid = await serverPid(context);
  switch (failure.kind) {
    case "timeout":
    case "busy":
      return found("REQUEST_HUNG", { request, deadline: context.options.deadlineMs, pid });
    case "garbage":
    case "files":
    case "size":
    case "refused":
      return found("REPLY_MALFORMED", { request, detail: failure.message, pid });
    case "disconnected":
    case "vanished":
    case "absent":
      break;
  }
  return await ended(context, read);
}

/** Each read has the deadline for itself: a server that is slow ten times does not hang. */
export const requestsProbe: Probe = {
  check: "requests",
  operations: READS.length,
  async run(context) {
    const { session, options } = context;
    const budget = () => Math.min(options.deadlineMs, context.left());
    if (!(await session.ready(budget()))) return [skip("requests", session.why)];
    const findings: Finding[] = [];
    for (const read of READS) {
      // What is left of all time is no measure of the server.
      if (context.left() < Math.min(options.deadlineMs, LEAST_MS)) break;
      const answer = await session.read(read, budget());
      const finding =
        answer instanceof QbFailure
          ? await failed(context, read, answer)
          : await judge(context, read, answer);
      findings.push(finding);
      // A garbled connection stays garbled; the next request gets a fresh one.
      if (answer instanceof QbFailure) session.reconnect();
      if (!(await session.ready(budget()))) break;
    }
    const left = READS.length - findings.length;
    // Every pmxcfs answers this one, whatever else is wrong.
    const [versions] = findings;
    if (versions?.severity === "fail" && versions.code !== "REQUEST_HUNG") {
      findings.push(...(await stranger(context)));
    }
    const why = session.connected ? "no time left (--total-deadline)" : session.why;
    if (left > 0) findings.push(skip("requests", `${left} further requests: ${why}`));
    return findings;
  },
};
