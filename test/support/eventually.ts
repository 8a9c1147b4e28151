/**
 * Waiting for a condition, bounded: how tests wait for other processes. Nothing sleeps for a
 * fixed time; a condition that never comes is an error that says what was awaited.
 */

/** Polls `condition` until it is truthy and returns that; throws `what` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await Bun.sleep(pauseMs);
  }
}
