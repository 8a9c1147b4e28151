/**
 * Thrown inside the reader of SQLite's format when bytes are not what the format says, and caught
 * at its edge: a page that is none, a cell beyond its page, a chain that ends early.
 */
export class Malformed extends Error {
  /** As SQLite words it, which is what the C server's log shows. */
  constructor(message = "database disk image is malformed") {
    super(message);
  }
}
