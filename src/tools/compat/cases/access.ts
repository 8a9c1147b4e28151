/** Cases about access and permissions: pmxcfs's rule for root, www-data and unknown users. */
import { Errno } from "../../../base/errno.ts";
import { logClusterMsg } from "../../../pmxcfs/requests/rows/log-cluster-msg.ts";
import { setStatus } from "../../../pmxcfs/requests/rows/set-status.ts";
import { CfsIpc } from "../../../pmxcfs/requests/table.ts";
import type { Case, Expect } from "../case.ts";
import { FILES, NODE, STORAGE_CONFIG, TOKEN } from "../fixtures.ts";
import { ask, call, config, token } from "./requests.ts";

const EPERM: Expect = { errno: Errno.EPERM };

export const ACCESS_CASES: readonly Case[] = [
  {
    name: "access.stranger",
    shows: "A user who is neither root nor www-data is refused",
    profiles: ["pmxcfs"],
    needs: ["root"],
    steps: [
      { do: "connect", user: "stranger", expect: "refused" },
      { do: "connect", client: "b" },
      { do: "ping", client: "b" },
    ],
  },
  {
    name: "access.www-data",
    shows: "www-data is accepted, and reads files that are not private",
    profiles: ["pmxcfs"],
    needs: ["root"],
    steps: [
      { do: "connect", user: "www-data" },
      call(CfsIpc.GET_FS_VERSION, "", { starts: '{\n"starttime": ' }),
      call(CfsIpc.GET_CLUSTER_INFO, "", { starts: '{\n"nodename": ' }),
      call(CfsIpc.GET_GUEST_LIST, "", { starts: '{\n"version": ' }),
      config("no/such/file", { errno: Errno.ENOENT }),
    ],
  },
  {
    name: "access.read-only",
    shows: "A write by www-data is EPERM before any other check",
    profiles: ["pmxcfs"],
    needs: ["root"],
    steps: [
      { do: "connect", user: "www-data" },
      ask(setStatus, { key: "x", value: Buffer.from("y") }, EPERM),
      call(CfsIpc.SET_STATUS, "", EPERM),
      ask(logClusterMsg, { user: "u", tag: "t", message: "m" }, EPERM),
      call(CfsIpc.LOG_CLUSTER_MSG, "", EPERM),
    ],
  },
  {
    name: "access.private",
    shows: "A read of a private path by www-data is EPERM, whether the path exists or not",
    profiles: ["pmxcfs"],
    needs: ["root"],
    steps: [
      { do: "connect", user: "www-data" },
      ...["priv", "priv/", "priv/no-such-file", "/priv/token.cfg", "nodes/n/priv/x"].map((path) =>
        config(path, EPERM),
      ),
      config("./priv/token.cfg", { errno: Errno.ENOENT }),
    ],
  },
  {
    name: "access.private-files",
    shows: "Root reads private files, www-data gets EPERM, and www-data can verify tokens",
    profiles: ["pmxcfs"],
    needs: ["root", "fixtures"],
    steps: [
      { do: "connect" },
      { do: "connect", client: "w", user: "www-data" },
      config("priv/shadow.cfg", { body: FILES["priv/shadow.cfg"] ?? "" }),
      { ...config("priv/shadow.cfg", EPERM), client: "w" },
      { ...config(`nodes/${NODE}/priv/ssl.key`, EPERM), client: "w" },
      { ...config("private.txt", { body: FILES["private.txt"] ?? "" }), client: "w" },
      { ...config("storage.cfg", { body: STORAGE_CONFIG }), client: "w" },
      { ...token(TOKEN, { body: "" }), client: "w" },
    ],
  },
];
