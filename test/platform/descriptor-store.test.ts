/** Whether the mount may be left to the next server, which the service manager is asked for. */
import { expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { isRestarting } from "../../src/platform/descriptor-store.ts";
import { TempDirectory } from "../pmxcfs/support.ts";

const UNIT = "pve-cluster.service";

/** The answer with a systemctl that lists `job` for the unit; that stores `most` descriptors. */
async function said(job: string, most: string): Promise<boolean> {
  using directory = new TempDirectory();
  const script = `#!/bin/sh
case $1 in
list-jobs) echo "17 ${UNIT} ${job} running" ;;
show) [ "$2 $3 $4" = "--property=FileDescriptorStoreMax --value ${UNIT}" ] && echo "${most}" ;;
esac
`;
  chmodSync(directory.put("systemctl", script), 0o755);
  const environment = { PATH: `${directory.path}:/usr/bin:/bin`, INVOCATION_ID: "0" };
  return await isRestarting(environment, UNIT);
}

test("a restart by systemd is one in which the next server gets the descriptor", async () => {
  expect(await said("restart", "1")).toBe(true);
  expect(await said("try-restart", "1")).toBe(true);
  expect(await said("stop", "1")).toBe(false);
});

test("it is none when the unit stores no descriptors, as after a switch back to C", async () => {
  expect(await said("restart", "0")).toBe(false);
  expect(await said("restart", "")).toBe(false);
});
