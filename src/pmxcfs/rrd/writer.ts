/** The interface of the writers of RRD files: rrdcached, and rrdtool while no rrdcached runs. */
import type { RrdLayout } from "./formats.ts";

/** Values for one file. */
export interface RrdValues {
  /** Absolute, latin1 (one character per byte); any byte except NUL, CR and LF. */
  readonly path: string;
  /** `time:value:value...`. */
  readonly values: string;
}

/** A file to create, in an existing directory. */
export interface RrdFile {
  readonly path: string;
  readonly layout: RrdLayout;
  /** Unix time; earlier values are refused. */
  readonly start: number;
}

/** The result when a writer does not work now. */
export class Unavailable {
  readonly reason: string;
  /** True when the writer is not running, so that it has no values in a queue. */
  readonly isAbsent: boolean;

  constructor(reason: string, isAbsent: boolean) {
    this.reason = reason;
    this.isAbsent = isAbsent;
  }
}

export interface RrdWriter {
  /** Writes values in order; returns those that were refused, with the reason. */
  update(values: readonly RrdValues[]): Promise<Map<RrdValues, string> | Unavailable>;
  /** Creates a file, completely or not at all, unless it exists. A string says why it failed. */
  create(file: RrdFile): Promise<string | Unavailable | undefined>;
  close(): void;
}
