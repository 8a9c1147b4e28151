/** What `--version` prints: the program, and the protocol facts that a bug report needs. */
import { buildInfo } from "../version.ts";
import { ConnectionResponse, QbMessage, RequestHeader, ResponseHeader } from "../wire/qb.ts";

/** Three lines: this program, its libqb side, its pmxcfs side. */
export function versionText(): string {
  const { version, revision, bun, target } = buildInfo;
  const headers = `${RequestHeader.size}-byte request and ${ResponseHeader.size}-byte answer header`;
  const handshake = `handshake id ${QbMessage.AUTHENTICATE}, answer ${ConnectionResponse.size} bytes`;
  return [
    `pmxcfs-ipc ${version} (git ${revision}), Bun ${bun}, ${target}`,
    `libqb: QB_IPC_SHM over an abstract socket, ${handshake}, ${headers};`,
    "       checked against libqb 2.0.6 and 2.0.10",
    "pmxcfs: requests 1-8 and 10-13 of pve-cluster 9.1",
    "",
  ].join("\n");
}
