/** The lines of a trace: text for people, one JSON object per line for programs. */
import { counted } from "../../base/counted.ts";
import { errnoName, errnoText } from "../../base/errno.ts";
import { escapeText, jsonText } from "../../base/escape.ts";
import type { Credentials, Peer } from "../../ipc/handler.ts";
import { describe, descriptionText, requestName } from "../../pmxcfs/requests/wording.ts";
import type { Exchange } from "./exchange.ts";

/** Selects the exchanges that are shown; an empty list matches all. */
export interface Filter {
  readonly ids: readonly number[];
  readonly uids: readonly number[];
  /** 0 is success. */
  readonly errors: readonly number[];
}

/** The part of the filter that does not depend on the answer. */
export function mayMatch({ ids, uids }: Filter, id: number, uid: number): boolean {
  return (ids.length === 0 || ids.includes(id)) && (uids.length === 0 || uids.includes(uid));
}

/** True if `exchange` matches `filter`. */
export function matches(filter: Filter, exchange: Exchange): boolean {
  const { errors } = filter;
  if (!mayMatch(filter, exchange.id, exchange.caller.uid)) return false;
  return errors.length === 0 || errors.includes(exchange.error ?? Number.NaN);
}

function outcomeText(exchange: Exchange): string {
  const { error, replyBytes, why, refusedHere } = exchange;
  if (error === undefined) return `no answer: ${escapeText(why)}`;
  if (error === 0) return `${replyBytes} bytes`;
  const size = exchange.malformed ? ", its header's size is wrong" : "";
  const here = `${size}${refusedHere ? ", denied by the tracer" : ""}`;
  return `${errnoName(error)} (${errnoText(error)})${here}`;
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString();
}

/** `2026-...Z #1 uid 33 rw get-config path="storage.cfg" -> 11 bytes, 41 us`. */
export function exchangeText(exchange: Exchange): string {
  const { atMs, connection, caller, id, body, latencyUs } = exchange;
  const mode = caller.permissions === "read-write" ? "rw" : "ro";
  const request = `${requestName(id)} ${descriptionText(describe(id, body))}`.trimEnd();
  const who = `${timeOf(atMs)} #${connection} pid ${caller.pid} uid ${caller.uid} ${mode}`;
  return `${who} ${request} -> ${outcomeText(exchange)}, ${latencyUs} us\n`;
}

/** One exchange as a line of JSON, secrets left out. */
export function exchangeJson(exchange: Exchange): string {
  const { atMs, connection, caller, id, body, why, latencyUs, refusedHere } = exchange;
  const fields = {
    kind: "request",
    time: timeOf(atMs),
    connection,
    pid: caller.pid,
    uid: caller.uid,
    gid: caller.gid,
    permissions: caller.permissions,
    id,
    operation: requestName(id),
    arguments: describe(id, body),
    request_bytes: body.byteLength,
    error: exchange.error ?? null,
    reply_bytes: exchange.replyBytes,
    latency_us: latencyUs,
    refused_here: refusedHere,
    malformed: exchange.malformed,
    ...(why === "" ? {} : { why }),
  };
  return `${jsonText(fields)}\n`;
}

/** A line about something other than a request. */
export interface Notice {
  readonly kind: "connect" | "refuse" | "event" | "disconnect";
  readonly atMs: number;
  readonly peer: Credentials;
  readonly connection?: number;
  readonly detail: Readonly<Record<string, string | number>>;
}

/** The numbers of a connection in a notice. */
export function noticeOf(
  kind: Notice["kind"],
  peer: Peer,
  atMs: number,
  detail: Notice["detail"] = {},
): Notice {
  return { kind, atMs, peer: peer.caller, connection: peer.number, detail };
}

/** A notice (connect, disconnect, refusal, ...) as a line of text. */
export function noticeText({ kind, atMs, peer, connection, detail }: Notice): string {
  const number = connection === undefined ? "" : ` #${connection}`;
  const words = [kind, descriptionText(detail)].filter((word) => word !== "").join(" ");
  return `${timeOf(atMs)}${number} pid ${peer.pid} uid ${peer.uid} ${words}\n`;
}

/** A notice as a line of JSON. */
export function noticeJson({ kind, atMs, peer, connection, detail }: Notice): string {
  const { pid, uid, gid } = peer;
  const time = timeOf(atMs);
  return `${jsonText({ kind, time, connection, pid, uid, gid, ...detail })}\n`;
}

/** The line for `count` lines that were left out because the trace was not read. */
export function leftOutText(count: number): string {
  return `(left out ${counted(count, "line")} here: the trace was not read in time)\n`;
}

/** The same as a line of JSON. */
export function leftOutJson(count: number): string {
  return `${jsonText({ kind: "left-out", lines: count })}\n`;
}
