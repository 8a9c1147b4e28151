/**
 * Serves a mounted session from the event loop: wakes when the kernel has requests, serves them in
 * turns, ends after an unmount or an abort. Owns the device and its watch.
 */
import type { FuseDevice } from "../platform/fuse-device.ts";
import { wakeOn, type Wake, type WakeKind } from "../platform/fuse-wake.ts";
import type { Session } from "./session.ts";

export interface ServingOptions {
  readonly device: FuseDevice;
  readonly session: Session;
  /** How the loop is woken; default: the best way that works. */
  readonly wake?: WakeKind | undefined;
  /** Called when the mount was unmounted or its connection aborted; not called by `close`. */
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

  /** Starts serving; a string says why the device cannot be watched. */
  static async start(options: ServingOptions): Promise<Serving | string> {
    const serving = new Serving(options);
    const wake = await wakeOn(options.device.fd, () => serving.#turn(), options.wake);
    if (typeof wake === "string") return wake;
    serving.#wake = wake;
    // No wake-up comes for requests that arrived before the watch.
    serving.#turn();
    return serving;
  }

  /** How the loop is woken; undefined before `start` is done. */
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

  /** Stops serving and leaves the device open for the server that takes over; its descriptor. */
  release(): number {
    if (!this.#closed) {
      this.#closed = true;
      this.#wake?.close();
    }
    return this.#device.fd;
  }
}
