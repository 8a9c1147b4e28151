/** Tests that cannot run everywhere: skipped with the reason in their name, as npm test shows. */
import { test } from "bun:test";

/**
 * `test`, or, when there is a reason not to run, a skipped one that says it. The reason is what is
 * missing, as in `testUnless(isRoot ? undefined : "needs root")("...", ...)`.
 */
export function testUnless(reason: string | undefined): typeof test {
  if (reason === undefined) return test;
  const skipped = (name: string, body: () => void | Promise<unknown>) =>
    test.skip(`${name} (${reason})`, body);
  return skipped as typeof test;
}
