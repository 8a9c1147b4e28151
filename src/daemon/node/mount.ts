/**
 * The mount of this node: the file system over the tree, on a FUSE session, at a directory. Mounts
 * anew when its connection was aborted (by the kernel's request timeout, or by an administrator
 * through /sys/fs/fuse), ends when somebody unmounts it.
 */
import { Errno, errnoText } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { REQUEST_BYTES } from "../../fuse/negotiation.ts";
import { Serving } from "../../fuse/serving.ts";
import { Session, type SessionHooks } from "../../fuse/session.ts";
import { detachMount, FuseDevice } from "../../platform/fuse-device.ts";
import type { WakeKind } from "../../platform/fuse-wake.ts";
import { mountsAt } from "../../platform/mounts.ts";
import { PveFileSystem, type PveFileSystemOptions } from "../../pmxcfs/mount/file-system.ts";
import { clearDeadMounts, prepareMountPoint } from "./mount-point.ts";

/** As libfuse mounts it for pmxcfs: all users, the kernel checks modes. */
const OPTIONS = "rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other";

export interface MountOptions extends PveFileSystemOptions {
  readonly directory: string;
  readonly wake: WakeKind | undefined;
  /** The kernel ends the connection when a request waits longer than this; 0: never. */
  readonly requestTimeoutSeconds: number;
  readonly hooks: SessionHooks;
  readonly log: Log;
  /** Somebody has unmounted it. */
  readonly lost: () => void;
}

/** Containers lack the device or the right to mount, each in its own words. */
const IN_A_CONTAINER =
  "in a container it takes --device /dev/fuse --cap-add SYS_ADMIN (podman, docker)" +
  " or features: fuse=1 (LXC)";

function openDevice(): FuseDevice | string {
  const device = FuseDevice.open(REQUEST_BYTES);
  if (device instanceof FuseDevice) return device;
  return `fuse_mount error: cannot open /dev/fuse: ${errnoText(device)}; ${IN_A_CONTAINER}`;
}

export class Mount {
  readonly fileSystem: PveFileSystem;
  readonly #options: MountOptions;
  #serving: Serving | undefined;
  #closed = false;

  private constructor(options: MountOptions) {
    this.#options = options;
    this.fileSystem = new PveFileSystem(options);
  }

  /** Mounts and serves; a string says why not, and nothing is mounted then. */
  static async open(options: MountOptions): Promise<Mount | string> {
    const mount = new Mount(options);
    const failure =
      (await clearDeadMounts(options.directory, options.log)) ??
      prepareMountPoint(options.directory) ??
      (await mount.#start());
    return failure ?? mount;
  }

  get session(): Session | undefined {
    return this.#serving?.session;
  }

  /** How the event loop hears of requests. */
  get wakeKind(): WakeKind | undefined {
    return this.#serving?.wakeKind;
  }

  async #start(): Promise<string | undefined> {
    const { directory, log, requestTimeoutSeconds, hooks, wake } = this.#options;
    const device = openDevice();
    if (typeof device === "string") return device;
    const mounted = device.mount(directory, OPTIONS);
    if (mounted < 0) {
      device[Symbol.dispose]();
      const hint = mounted === Errno.EPERM ? `; ${IN_A_CONTAINER}` : "";
      return `fuse_mount error: ${errnoText(mounted)}${hint}`;
    }
    const { fileSystem } = this;
    const session = new Session({ device, fileSystem, log, requestTimeoutSeconds, hooks });
    const ended = (): void => void this.#ended();
    const serving = await Serving.start({ device, session, wake, ended });
    if (typeof serving === "string") {
      detachMount(directory);
      device[Symbol.dispose]();
      return `fuse_mount error: /dev/fuse cannot be watched: ${serving}`;
    }
    this.#serving = serving;
    return undefined;
  }

  /** The device says ENODEV: unmounted when the mount is gone, aborted when it is still there. */
  async #ended(): Promise<void> {
    if (this.#closed) return;
    const { directory, log, lost } = this.#options;
    if (!mountsAt(directory).some(({ type }) => type.startsWith("fuse"))) {
      this.#closed = true;
      lost();
      return;
    }
    log.error(
      `${directory}: the kernel ended the connection (a request was not answered in time, or ` +
        "it was aborted): mounting anew; files that were open there give ENOTCONN",
    );
    const failure = (await clearDeadMounts(directory, log)) ?? (await this.#start());
    if (failure === undefined) {
      log.info(`${directory}: mounted again`);
      return;
    }
    log.error(`${directory}: cannot be mounted again: ${failure}`);
    this.#closed = true;
    lost();
  }

  /** Unmounts: open files and processes inside do not hinder it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { directory, log } = this.#options;
    const result = detachMount(directory);
    if (result < 0) log.warn(`${directory} cannot be unmounted: ${errnoText(result)}`);
    this.#serving?.close();
  }
}
