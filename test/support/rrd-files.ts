/** RrdFiles of an rrdcached fixture, for the tests with rrdcached and those with rrdtool. */
import { afterEach, expect } from "bun:test";
import { RrdFiles, type RrdFilesOptions } from "../../src/pmxcfs/rrd/files.ts";
import { dayStartSeconds } from "../../src/pmxcfs/rrd/formats.ts";
import { Rrdcached } from "../../src/pmxcfs/rrd/rrdcached.ts";
import { createLog } from "../../src/base/log.ts";
import { eventually } from "./eventually.ts";
import type { RrdcachedFixture } from "./rrdcached.ts";

/** A time that new files accept: they begin at the start of the day. */
export const TIME = dayStartSeconds(Date.now()) + 60;

export const NODE_VALUES = "0.1:4:0.02:0.001:100:50:8:1:1000:10:200:300";

const opened: RrdFiles[] = [];

afterEach(() => {
  for (const files of opened.splice(0)) files.close();
});

/** RRD files of a fixture, closed after the test, and the lines of their log. */
export function open(
  fixture: RrdcachedFixture,
  options: Partial<RrdFilesOptions> = {},
): { files: RrdFiles; lines: string[] } {
  const lines: string[] = [];
  const log = createLog({ level: "info", format: "plain", write: (line) => lines.push(line) });
  const { socketPath, baseDirectory } = fixture;
  const times = { gatherMs: 1, retryMs: 5, maxRetryMs: 20, timeoutMs: 5000 };
  const files = new RrdFiles({ log, socketPath, baseDirectory, ...times, ...options });
  opened.push(files);
  return { files, lines };
}

/** Resolves when at least `values` values are written or rejected, and none is pending. */
export async function settled(files: RrdFiles, values: number): Promise<void> {
  await eventually(`${values} values written or rejected`, () => {
    const { written, rejected, pending } = files.counters;
    return pending === 0 && written + rejected >= values;
  });
}

/** Makes rrdcached write its pending values of a file. */
export async function flush(fixture: RrdcachedFixture, file: string): Promise<void> {
  const daemon = new Rrdcached({ socketPath: fixture.socketPath });
  const replies = await daemon.exchange(`FLUSH ${fixture.path(file)}\n`, 1);
  daemon.close();
  expect(replies).toMatchObject([{ status: 0 }]);
}

/** The newest values of a file, as `time: values`. */
export async function last(fixture: RrdcachedFixture, file: string): Promise<string> {
  await flush(fixture, file);
  return fixture.rrdtool("lastupdate", file).at(-2) ?? "";
}
