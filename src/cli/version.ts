/** The text of `--version`: the program, and the protocol details that a bug report needs. */
import { buildInfo } from "../base/version.ts";
import { ConnectionResponse, QbMessage, RequestHeader, ResponseHeader } from "../wire/qb.ts";

/** Four lines: the program, its libqb protocol, the libqb versions tested, its pmxcfs requests. */
export function versionText(): string {
  const { version, revision, bun, target } = buildInfo;
  const headers = `headers ${RequestHeader.size} and ${ResponseHeader.size} bytes`;
  const answer = `answer ${ConnectionResponse.size} bytes`;
  return [
    `pmxcfs-ipc ${version} (git ${revision}), Bun ${bun}, ${target}`,
    `libqb: QB_IPC_SHM, handshake id ${QbMessage.AUTHENTICATE}, ${answer}, ${headers}`,
    "checked against: libqb 2.0.6 and 2.0.10",
    "pmxcfs: requests 1-8 and 10-13 of pve-cluster 9.1",
    "",
  ].join("\n");
}
