/** One text for anything that was thrown. */

/** The message of an Error, or the value as a string; without the stack. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
