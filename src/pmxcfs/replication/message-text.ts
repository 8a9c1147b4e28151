/** A message of a replicated group as text, for `cluster watch`: latin1, not escaped. */
import { Change, decodeCommand, decodeIndex, decodeLock, decodeUpdate } from "./dcdb-message.ts";
import { decodeControl, decodeHeader, decodeNormal, epochText, Type, typeName } from "./message.ts";
import { KEY_BYTES, keyIn, KV_UPDATE, LOG } from "./status-group.ts";

export type GroupName = "dcdb" | "status";

function commandText(subtype: number, body: Buffer): string {
  if (subtype === Change.unlockRequest || subtype === Change.unlock) {
    const name = subtype === Change.unlock ? "unlock" : "unlock-request";
    return `${name} ${decodeLock(body)?.path ?? "(malformed)"}`;
  }
  const command = decodeCommand(subtype, body);
  if (command === undefined) return `kind ${subtype}, ${body.length} bytes`;
  switch (command.kind) {
    case "write":
      return `write ${command.path} offset ${command.offset} bytes ${command.data.length}`;
    case "truncate":
      return `truncate ${command.path} size ${command.size}`;
    case "rename":
      return `rename ${command.path} to ${command.to}`;
    case "utime":
      return `utime ${command.path} mtime ${command.mtime}`;
    case "create":
    case "mkdir":
    case "remove":
      return `${command.kind} ${command.path}`;
    default:
      return command satisfies never;
  }
}

function statusText(subtype: number, body: Buffer): string {
  if (subtype === LOG) return `log entry, ${body.length} bytes`;
  if (subtype !== KV_UPDATE) return `kind ${subtype}, ${body.length} bytes`;
  const key = keyIn(body);
  return key === undefined
    ? `key (malformed), ${body.length} bytes`
    : `key ${key}, ${body.length - KEY_BYTES} bytes`;
}

function stateText(group: GroupName, body: Buffer): string {
  if (group === "status") return `log of ${body.length} bytes`;
  const head = decodeIndex(body);
  if (head === undefined) return `${body.length} bytes`;
  return `version ${head.version} mtime ${head.mtime}, ${body.length} bytes`;
}

/** `NORMAL #5 write storage.cfg offset 0 bytes 120`, `STATE epoch 1/57/00000002 version 12 ...`. */
export function messageText(group: GroupName, message: Buffer): string {
  const header = decodeHeader(message);
  if (header === undefined) return `${message.length} bytes without a header`;
  if (header.type === Type.normal) {
    const normal = decodeNormal(message);
    if (normal === undefined) return `NORMAL of ${message.length} bytes`;
    const { subtype, count, body } = normal;
    const what = group === "dcdb" ? commandText(subtype, body) : statusText(subtype, body);
    return `NORMAL #${count} ${what}`;
  }
  const control = decodeControl(message);
  if (control === undefined) return `${typeName(header.type)} of ${message.length} bytes`;
  const { type, epoch, body } = control;
  const head = `${typeName(type)} epoch ${epochText(epoch)}`;
  if (type === Type.state) return `${head} ${stateText(group, body)}`;
  if (type !== Type.update) return head;
  const update = decodeUpdate(body);
  if (update === undefined) return `${head} ${body.length} bytes`;
  const { inode, version, name, data } = update;
  return `${head} inode ${inode} version ${version} "${name}", ${data.length} bytes`;
}
