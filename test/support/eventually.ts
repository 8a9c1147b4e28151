/**
 * Bounded waiting for a condition, such as the state of another process. Tests do not sleep for a
 * fixed time.
 */

/** More than ten times what the slowest of these waits takes on an idle machine. */
const PATIENCE_MS = 30_000;

/**
 * Polls `condition` until its value is not undefined, null or false, and returns the value; after
 * `timeoutMs` throws an error with the `event` waited for.
 */
export async function eventually<T>(
  event: string,
  condition: () => T | Promise<T>,
  timeoutMs = PATIENCE_MS,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${event}`);
    await Bun.sleep(pauseMs);
  }
}
