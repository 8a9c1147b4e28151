/** The pid file, which systemd and scripts read: written atomically, removed at the end. */
import { FilePlace } from "../../platform/atomic-file.ts";

/** A pid file that was written. */
export class PidFile {
  readonly #path: string;
  readonly #place: FilePlace;

  private constructor(path: string, place: FilePlace) {
    this.#path = path;
    this.#place = place;
  }

  /** Writes it with mode 0644; a string says why that failed. */
  static write(path: string, pid: number): PidFile | string {
    const place = FilePlace.of(path);
    const failure = typeof place === "string" ? place : place.write(`${pid}\n`, 0o644);
    if (typeof place === "string" || failure !== undefined) {
      return `unable to write pid file ${path}: ${failure}`;
    }
    return new PidFile(path, place);
  }

  /** Removes it; a string says why that failed. */
  remove(): string | undefined {
    const failure = this.#place.remove();
    return failure === undefined ? undefined : `unable to remove ${this.#path}: ${failure}`;
  }
}
