/**
 * A server with one of several rules for accepting clients: `policy.ts SERVICE POLICY`. Prints one
 * line of JSON per call of authenticate and of handle; answers with the caller's permissions.
 */
import { type Credentials, Errno, type Permissions } from "../../../src/index.ts";
import { serveHandler } from "./serving.ts";

const WWW_DATA_UID = 33;

const POLICIES: Record<string, (peer: Credentials) => Permissions | Errno> = {
  "accept-all": () => "read-write",
  "reject-all": () => Errno.EACCES,
  "root-only": ({ uid }) => (uid === 0 ? "read-write" : Errno.EPERM),
  "read-only-but-root": ({ uid }) => (uid === 0 ? "read-write" : "read-only"),
  proxmox({ uid }) {
    if (uid === 0) return "read-write";
    return uid === WWW_DATA_UID ? "read-only" : Errno.EPERM;
  },
  "by-group": ({ gid }) => (gid === WWW_DATA_UID ? "read-write" : Errno.EPERM),
};

const decide = POLICIES[process.argv[3] ?? ""];
if (decide === undefined) throw new Error(`policies: ${Object.keys(POLICIES).join(" ")}`);

serveHandler({
  authenticate(peer) {
    console.log(JSON.stringify({ call: "authenticate", ...peer }));
    return decide(peer);
  },
  handle({ caller }) {
    console.log(JSON.stringify({ call: "handle", ...caller }));
    return Buffer.from(caller.permissions);
  },
});
