/** Tests that cannot run everywhere: skipped, with the reason in their name. */
import { test } from "bun:test";

/**
 * `test`; or, if a reason is given, a `test.skip` that appends it to the name. The reason is the
 * missing condition: `testUnless(isRoot ? undefined : "needs root")("...", ...)`.
 */
export function testUnless(reason: string | undefined): typeof test {
  if (reason === undefined) return test;
  const skipped = (name: string, body: () => void | Promise<unknown>) =>
    test.skip(`${name} (${reason})`, body);
  return skipped as typeof test;
}
