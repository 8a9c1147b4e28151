/** Opens a history several times, as a recorder does that tries again; prints each outcome. */
import { HistoryWriter } from "../../../src/pmxcfs/history/writer.ts";

const [file = "", times = "1"] = process.argv.slice(2);
const limits = { bytes: 64 * 1024 * 1024, ageMs: 1_000_000_000 };
for (let at = 0; at < Number(times); at++) {
  try {
    HistoryWriter.open({ file, node: "n1", limits })[Symbol.dispose]();
    process.stdout.write("opened\n");
  } catch {
    process.stdout.write("failed\n");
  }
}
