/**
 * The `nsenter` processes by which commands run in namespaces that end with their first process.
 * nsenter stays outside of them, and ends after its command; if that was stopped, it has stopped,
 * too, and does not see it end.
 */
import { eventually } from "./eventually.ts";

export class Entered {
  readonly #running = new Set<Bun.Subprocess>();

  /** Takes an nsenter that was started. */
  add(nsenter: Bun.Subprocess): void {
    this.#running.add(nsenter);
    void nsenter.exited.then(() => this.#running.delete(nsenter));
  }

  /** Waits until all have ended, whose namespaces are ending. */
  async ended(): Promise<void> {
    await eventually("the end of all commands in a namespace", () => {
      for (const nsenter of this.#running) nsenter.kill("SIGCONT");
      return this.#running.size === 0;
    });
  }
}
