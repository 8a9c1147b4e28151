/** One line for each way a request can fail: the errno, and what it means for this very request. */
import { QbFailure } from "../client/failure.ts";
import { Errno, errnoName, errnoText } from "../base/errno.ts";
import { CfsIpc } from "../pmxcfs/requests/layouts.ts";

const READ_ONLY = "this caller may only read (www-data, or a group that may)";

/** What an errno means whatever was asked. */
const GENERAL: Readonly<Record<number, string>> = {
  [Errno.EPERM]: READ_ONLY,
  [Errno.EINVAL]: "the server finds the request malformed",
  [Errno.ECHRNG]: "the server knows no such request",
  [Errno.EMSGSIZE]: "the answer does not fit the connection: ask for more with --message-size",
  [Errno.EACCES]: "the server could not give its files to this user",
};

/** What it means for one request. */
const PARTICULAR: Readonly<Record<string, string>> = {
  [`${CfsIpc.GET_CONFIG} ${Errno.ENOENT}`]: "no such file below /etc/pve (or it is no file)",
  [`${CfsIpc.GET_CONFIG} ${Errno.EPERM}`]: "the path is private, and this caller may only read",
  [`${CfsIpc.GET_STATUS} ${Errno.ENOENT}`]: "no such key, or no such node",
  [`${CfsIpc.SET_STATUS} ${Errno.EFBIG}`]: "a status value has at most 32 KiB",
  [`${CfsIpc.SET_STATUS} ${Errno.ENOMEM}`]: "nodeip and rrd/ values must end in a NUL (--nul)",
  [`${CfsIpc.GET_GUEST_CONFIG_PROPERTY} ${Errno.ENOENT}`]: "no such guest",
  [`${CfsIpc.GET_GUEST_CONFIG_PROPERTY} ${Errno.EINVAL}`]: "vmids begin at 100; 0 is all guests",
  [`${CfsIpc.GET_GUEST_CONFIG_PROPERTY} ${Errno.EIO}`]: "the guest's config file is empty",
  [`${CfsIpc.GET_GUEST_CONFIG_PROPERTIES} ${Errno.ENOENT}`]: "no such guest",
  [`${CfsIpc.GET_GUEST_CONFIG_PROPERTIES} ${Errno.EINVAL}`]:
    "vmids begin at 100 (0 is all guests), and names with a-z",
  [`${CfsIpc.GET_GUEST_CONFIG_PROPERTIES} ${Errno.EIO}`]: "the guest's config file is empty",
  [`${CfsIpc.VERIFY_TOKEN} ${Errno.ENOENT}`]: "priv/token.cfg has no such token",
};

/** `ENOENT (No such file or directory): no such guest`. */
export function explainAnswer(id: number, error: number): string {
  const meaning = PARTICULAR[`${id} ${error}`] ?? GENERAL[error];
  return `${errnoName(error)} (${errnoText(error)})${meaning === undefined ? "" : `: ${meaning}`}`;
}

/** What can be done about a transport that did not work. */
const HINTS: Readonly<Partial<Record<QbFailure["kind"], string>>> = {
  absent: "is pmxcfs running, in this network namespace?",
  refused: "pmxcfs lets in uid 0 with gid 0, and gid www-data",
  size: "--message-size makes a larger connection",
};

/** A failure of the transport, and a hint where there is one. */
export function explainFailure(failure: QbFailure): string {
  const hint = HINTS[failure.kind];
  return hint === undefined ? String(failure) : `${String(failure)}; ${hint}`;
}
