/**
 * The deliberate differences from the C server, each with its proof: recorded vectors that have a
 * deviation, or the name of a test. Run it to write the table of docs/operations.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
export const MANUAL = join(ROOT, "docs/operations.md");

/** A test that fails when the difference is gone. */
interface NamedTest {
  readonly file: string;
  readonly name: string;
}

export interface Difference {
  readonly where: string;
  readonly c: string;
  readonly ours: string;
  /** Vectors of test/golden, replayed through a real libqb client. */
  readonly vectors?: readonly string[];
  readonly tests?: readonly NamedTest[];
}

const access = (name: string): NamedTest => ({ file: "test/requests/access.test.ts", name });

const parity = (name: string): NamedTest => ({ file: "test/golden/parity.test.ts", name });

const status = (name: string): NamedTest => ({ file: "test/pmxcfs/status.test.ts", name });

export const DIFFERENCES: readonly Difference[] = [
  {
    where: "connecting as uid 0 with another gid than 0",
    c: "refused",
    ours: "accepted, read-write",
    tests: [access("uid %d gid %d: %p")],
  },
  {
    where: "a refused connection",
    c: "+1, which clients print as Unknown error -1",
    ours: "EPERM, and a log line with the peer and the rule",
    tests: [
      access("a refusal names the peer, its ids and the rule"),
      {
        file: "test/ipc/authentication.test.ts",
        name: "a handler that rejects all refuses every client with its errno",
      },
    ],
  },
  {
    where: "GET_CONFIG of a private path with doubled slashes, read-only",
    c: "answered",
    ours: "EPERM",
    tests: [access("%s is one")],
  },
  {
    where: "a header whose size goes beyond the message",
    c: "reads on into the ring",
    ours: "EINVAL",
    vectors: [
      "lie.config.size-larger",
      "lie.set.size-huge",
      "lie.set.size-larger",
      "lie.token.size-larger",
      "get.lie",
    ],
  },
  {
    where: "a reply larger than the ring",
    c: "disconnects",
    ours: "EMSGSIZE; the connection stays usable",
    vectors: ["config.big512k.small-ring"],
  },
  {
    where: "GET_RRD_DUMP within 2 s of another",
    c: "an old copy, without its final NUL",
    ours: "always fresh, always ends in NUL",
    vectors: [
      "rrd.empty.fresh",
      "rrd.empty.cached",
      "rrd.full.fresh",
      "rrd.full.cached",
      "rrd.full.stale",
      "rrd.full.updated",
      "rrd.ro",
    ],
  },
  {
    where: "control characters, quotes or invalid UTF-8 in keys, tags, users and values",
    c: "invalid JSON",
    ours: "valid JSON; invalid bytes become U+FFFD",
    vectors: ["prop:102:args", "props:102:description,args,utf,comment"],
    tests: [
      { file: "test/pmxcfs/guests.test.ts", name: "values that are invalid JSON in C's answer" },
      {
        file: "test/requests/fs-version.test.ts",
        name: "names that C would print as invalid JSON",
      },
    ],
  },
  {
    where: "a backslash in a message of the cluster log",
    c: "as it is, so invalid JSON unless it begins an escape",
    ours: "escaped, unless it begins an escape",
    tests: [parity("to every case of the random comparison")],
  },
  {
    where: "RRD values with too few columns, or with one that is not a number",
    c: "librrd refuses the whole value",
    ours: "such a column is unknown (U), the others are written",
    tests: [
      {
        file: "test/pmxcfs/rrd.test.ts",
        name: "a value that is not a number becomes U; counters take integers only",
      },
    ],
  },
  {
    where: "rrd/ keys with a name of .. or a newline",
    c: "a file in another directory; another command to rrdcached",
    ours: "no file; the value is still dumped",
    tests: [{ file: "test/pmxcfs/rrd.test.ts", name: "%j is no key of a file" }],
  },
  {
    where: "RRD files while no rrdcached runs",
    c: "written by the thread that answers",
    ours: "written by a child process (rrdtool); directories have mode 0750 as C's",
    tests: [
      {
        file: "test/pmxcfs/rrdtool.test.ts",
        name: "rrdtool writes the same files as rrdcached",
      },
    ],
  },
  {
    where: "LOG_CLUSTER_MSG when the ring has a byte other than 0 after the message",
    c: "EINVAL, by chance",
    ours: "only what the client sent counts",
    tests: [
      {
        file: "test/requests/dispatch.test.ts",
        name: "nothing outside the body is read, nor the body written",
      },
    ],
  },
  {
    where: "SET_STATUS of a 4097th key of this node, or of an rrd/ key beyond 65536",
    c: "stored, without a bound",
    ours: "ENOSPC, and not sent to other nodes",
    tests: [
      status("one key too many is ENOSPC; old ones can still be set, and a removal makes room"),
      status("one key too many is ENOSPC, and is not archived either"),
      {
        file: "test/replication/set-status.test.ts",
        name: "a value that this node refuses for its size or number is not sent",
      },
    ],
  },
  {
    where: "LOG_CLUSTER_MSG after the clock was set back",
    c: "answered 0, and not logged until the clock has caught up",
    ours: "logged, with the time of the last entry",
    tests: [
      {
        file: "test/replication/groups.test.ts",
        name: "never gives an own entry a time before the last one, whatever the clock does",
      },
    ],
  },
  {
    where: "cluster log entries of three or more nodes in one second, after a synchronisation",
    c: "for some node names in no fixed order, also those of one node; an entry may be there twice",
    ours: "each once, node by node, those of a node in their order; else as C",
    tests: [
      {
        file: "test/pmxcfs/cluster-log-merge.test.ts",
        name: "has each entry once, and those of a node in their order, when C's is a circle",
      },
    ],
  },
];

function proof({ vectors = [], tests = [] }: Difference): string {
  const named = tests.map(({ file, name }) => `${file}: ${name}`);
  return [...vectors, ...named].map((what) => `\`${what}\``).join("<br>");
}

/** The table of the manual. */
function differencesTable(): string {
  const rows = DIFFERENCES.map(
    (row) => `| ${row.where} | ${row.c} | ${row.ours} | ${proof(row)} |`,
  );
  return ["| where | C | ours | proved by |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

const BEGIN = "<!-- differences: written by bun test/docs/differences.ts -->";
const END = "<!-- end of differences -->";

/** The manual with the current table. */
export function withTable(manual: string): string {
  const [before = "", rest = ""] = manual.split(BEGIN);
  const [, after = ""] = rest.split(END);
  return `${before}${BEGIN}\n\n${differencesTable()}\n\n${END}${after}`;
}

if (import.meta.main) writeFileSync(MANUAL, withTable(readFileSync(MANUAL, "utf8")));
