/**
 * The program's version, git revision and Bun. build.ts puts the first two into the binary
 * (`define`); in a checkout the version is that of package.json and the revision `working tree`.
 */
import { version as packageVersion } from "../../package.json";

declare const PMXCFS_IPC_VERSION: string | undefined;
declare const PMXCFS_IPC_REVISION: string | undefined;

/** Version and revision of this program, and its Bun; for --version and the metrics. */
export interface BuildInfo {
  /** Semantic version, as in package.json. */
  readonly version: string;
  /** Abbreviated git revision, `+changes` if files were changed; `working tree` in a checkout. */
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
