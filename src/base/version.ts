/**
 * Which program this is: version, git revision and Bun. build.ts puts the first two into the binary
 * (`define`); a checkout takes the version from package.json and calls itself a working tree.
 */
import { version as packageVersion } from "../../package.json";

declare const PMXCFS_IPC_VERSION: string | undefined;
declare const PMXCFS_IPC_REVISION: string | undefined;

/** Version and revision of this program and the Bun it runs on; for --version and the metrics. */
export interface BuildInfo {
  /** Semantic version, as in package.json. */
  readonly version: string;
  /** Abbreviated git revision; `+changes` when the tree was not clean, `working tree` in dev. */
  readonly revision: string;
  readonly bun: string;
  /** `linux-x64`. */
  readonly target: string;
}

export const buildInfo: BuildInfo = {
  version: typeof PMXCFS_IPC_VERSION === "undefined" ? packageVersion : PMXCFS_IPC_VERSION,
  revision: typeof PMXCFS_IPC_REVISION === "undefined" ? "working tree" : PMXCFS_IPC_REVISION,
  bun: Bun.version,
  target: `${process.platform}-${process.arch}`,
};
