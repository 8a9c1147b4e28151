/** Converts anything that was thrown to a text. */

/** The message of an Error, without the stack; any other value as a string. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
