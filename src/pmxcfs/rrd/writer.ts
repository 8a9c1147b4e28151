/** What writes RRD files: rrdcached, or rrdtool where no rrdcached runs. Neither blocks. */
import type { RrdLayout } from "./formats.ts";

/** Values for one file. */
export interface RrdValues {
  /** Absolute, latin1 (one character per byte); any byte but NUL, CR and LF. */
  readonly path: string;
  /** `time:value:value...`. */
  readonly values: string;
}

/** A file to be made; its directory is there. */
export interface RrdFile {
  readonly path: string;
  readonly layout: RrdLayout;
  /** Unix time before which it takes no value. */
  readonly start: number;
}

/** A writer that cannot be used now, with the reason. */
export class Unavailable {
  readonly reason: string;
  /** True when it does not run at all, so that nothing is queued in it. */
  readonly isAbsent: boolean;

  constructor(reason: string, isAbsent: boolean) {
    this.reason = reason;
    this.isAbsent = isAbsent;
  }
}

export interface RrdWriter {
  /** Writes values in order; the result has those that were refused, with the reason. */
  update(values: readonly RrdValues[]): Promise<Map<RrdValues, string> | Unavailable>;
  /** Makes a file unless it is there; never half a file. A string says why it was refused. */
  create(file: RrdFile): Promise<string | Unavailable | undefined>;
  close(): void;
}
