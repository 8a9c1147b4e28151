/**
 * Thrown inside the reader of SQLite's format when bytes violate the format (an invalid page, a
 * cell beyond its page, a chain that ends early), and caught by its callers.
 */
export class Malformed extends Error {
  /** In SQLite's words, which the C server's log shows. */
  constructor(message = "database disk image is malformed") {
    super(message);
  }
}
