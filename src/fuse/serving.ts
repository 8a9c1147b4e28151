/**
 * A mounted session in the event loop: woken when the kernel has requests, served in turns, ended
 * by an unmount or an abort. Owns the device and its watch.
 */
import type { FuseDevice } from "../platform/fuse-device.ts";
import { wakeOn, type Wake, type WakeKind } from "../platform/fuse-wake.ts";
import type { Session } from "./session.ts";

export interface ServingOptions {
  readonly device: FuseDevice;
  readonly session: Session;
  /** The way of waking; the best that works unless given. */
  readonly wake?: WakeKind | undefined;
  /** The mount is gone: unmounted by somebody, or its connection aborted. Not called by `close`. */
  readonly ended: () => void;
}

export class Serving {
  readonly session: Session;
  readonly #device: FuseDevice;
  readonly #ended: () => void;
  #wake: Wake | undefined;
  #closed = false;

  private constructor({ device, session, ended }: ServingOptions) {
    this.#device = device;
    this.session = session;
    this.#ended = ended;
  }

  /** Serves from now on; a string says why the device cannot be watched. */
  static async start(options: ServingOptions): Promise<Serving | string> {
    const serving = new Serving(options);
    const wake = await wakeOn(options.device.fd, () => serving.#turn(), options.wake);
    if (typeof wake === "string") return wake;
    serving.#wake = wake;
    // What came before the watch was there has no other wake-up.
    serving.#turn();
    return serving;
  }

  /** How the loop is woken. */
  get wakeKind(): WakeKind | undefined {
    return this.#wake?.kind;
  }

  #turn(): void {
    if (this.#closed) return;
    const state = this.session.drain();
    if (state !== "ended") {
      this.#wake?.arm();
      return;
    }
    this.close();
    this.#ended();
  }

  /**
   * Stops serving; pending requests fail with ENOTCONN once no other descriptor of the device is
   * open.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#wake?.close();
    this.#device[Symbol.dispose]();
  }

  /** Stops serving and leaves the device open, for the server that takes it over. */
  release(): number {
    if (!this.#closed) {
      this.#closed = true;
      this.#wake?.close();
    }
    return this.#device.fd;
  }
}
