/** GET_FS_VERSION: what changed since the caller last asked. C: cfs_create_version_msg. */
import { jsonAnswer, table, timeText } from "../answer.ts";
import { EMPTY } from "../encoding.ts";
import { defineRequest } from "../request.ts";

/** Counters that increase with each change. */
export interface FsVersions {
  /** Unix time of the server's start; if it differs, a client must drop everything it cached. */
  readonly starttime: number;
  readonly clinfo: number;
  readonly vmlist: number;
  /** By node, then key: the version of each status value. */
  readonly kvstore: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By path below /etc/pve: the version of each observed file. */
  readonly files: Readonly<Record<string, number>>;
}

function versionsText({ starttime, clinfo, vmlist, kvstore, files }: FsVersions): string {
  const keys = Object.entries(kvstore).flatMap(([node, values]) =>
    Object.entries(values).map(([key, version]) => [`kvstore ${node} ${key}`, String(version)]),
  );
  return table([
    ["starttime", `${starttime} (${timeText(starttime)})`],
    ["clinfo", String(clinfo)],
    ["vmlist", String(vmlist)],
    ...Object.entries(files).map(([path, version]) => [path, String(version)]),
    ...keys,
  ]);
}

export const getFsVersion = defineRequest({
  id: 1,
  name: "GET_FS_VERSION",
  summary: "Print version counters of the files and lists that PVE caches",
  example: ["--json", "counters as JSON"],
  access: "read",
  minBytes: 0,
  maxBytes: 0,
  checks: ["any body: EINVAL"],
  result: "JSON: starttime, clinfo, vmlist, a counter per observed path, versions of status keys",
  parameters: {},
  encode: () => EMPTY,
  describe: () => ({}),
  answer: jsonAnswer<FsVersions>(
    "version list",
    ({ starttime, clinfo, vmlist, kvstore = {}, ...files }) =>
      ({ starttime, clinfo, vmlist, kvstore, files }) as FsVersions,
    versionsText,
  ),
  errors: {},
  probe: { arguments: {}, reply: "json" },
  run: ({ fsVersion }) => fsVersion.text(),
});
