/**
 * This node's mount: the file system over the tree, on a FUSE session, at a directory. Mounts again
 * when its connection was aborted (by the kernel's request timeout, the watchdog, or an
 * administrator); ends when it is unmounted. Under systemd the mount outlives a restart of the
 * server: the device is kept in the manager's descriptor store, and requests wait in the kernel.
 */
import { Errno, errnoText } from "../../base/errno.ts";
import type { Log } from "../../base/log.ts";
import { type Negotiated, REQUEST_BYTES } from "../../fuse/negotiation.ts";
import { Serving } from "../../fuse/serving.ts";
import { Session, type SessionHooks } from "../../fuse/session.ts";
import { atExit } from "../../platform/at-exit.ts";
import { forgetDescriptor, storeDescriptor } from "../../platform/descriptor-store.ts";
import { detachMount, FuseDevice } from "../../platform/fuse-device.ts";
import type { WakeKind } from "../../platform/fuse-wake.ts";
import { MountWatchdog } from "../../platform/mount-watchdog.ts";
import { hasOwnMounts, mountsAt } from "../../platform/mounts.ts";
import type { ChangeLedger } from "../../pmxcfs/store/change-ledger.ts";
import { PveFileSystem, type PveFileSystemOptions } from "../../pmxcfs/mount/file-system.ts";
import { discardInherited, inheritedDevice, storedName } from "./inherited-device.ts";
import { clearDeadMounts, prepareMountPoint } from "./mount-point.ts";

/** The options with which libfuse mounts pmxcfs: open to all users, modes checked by the kernel. */
const OPTIONS = "rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other";

/** What aborts the mount of a hung server: the kernel if it can ("auto"), a process, or nothing. */
export type HangGuard = "auto" | "process" | "off";

export interface MountOptions extends PveFileSystemOptions {
  readonly directory: string;
  readonly wake: WakeKind | undefined;
  readonly hangGuard: HangGuard;
  /** Requests that wait longer than this mean that the server hangs. */
  readonly requestTimeoutSeconds: number;
  readonly hooks: SessionHooks;
  /** As SessionOptions.mayPoll. */
  readonly mayPoll: () => boolean;
  /** Records changes for the server that takes the mount over. */
  readonly ledger: ChangeLedger;
  readonly log: Log;
  /** Called before the mount of another server is served. */
  readonly takenOver?: () => void;
  /** Called when the mount was unmounted, or cannot be mounted again; then with the reason. */
  readonly lost: (failure?: string) => void;
}

/** Hint for containers, which lack the device or the right to mount. */
const IN_A_CONTAINER =
  "in a container this needs --device /dev/fuse --cap-add SYS_ADMIN (podman, docker)" +
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
  #device: FuseDevice | undefined;
  #watchdog: MountWatchdog | undefined;
  /** The device's name in the descriptor store; undefined while it is not stored. */
  #stored: string | undefined;
  #closed = false;
  /** A mount left behind would answer ENOTCONN. A stored one stays, for the next server. */
  readonly #atExit = atExit(() => {
    if (this.#stored === undefined && this.#serving !== undefined) this.close();
  });

  private constructor(options: MountOptions) {
    this.#options = options;
    this.fileSystem = new PveFileSystem(options);
    // If this server is killed now, the next one must not get the mount.
    options.ledger.onLack = () => this.#forget();
  }

  /** Mounts or takes over, and serves. A string says why that failed; nothing is mounted then. */
  static async open(options: MountOptions): Promise<Mount | string> {
    const mount = new Mount(options);
    const { directory, log } = options;
    const inherited = inheritedDevice(directory, log);
    if (inherited !== undefined) {
      const failure = await mount.#serve(inherited.device, inherited.negotiated);
      if (failure === undefined && mount.session?.ended === false) {
        log.info(`${directory}: took over the mount of the previous server`);
        return mount;
      }
      discardInherited(inherited);
      mount.#serving = undefined;
      mount.#release();
    }
    if (hasOwnMounts()) {
      log.warn(
        `${directory} is mounted in a mount namespace of this server's own: processes outside do ` +
          "not see it. Under systemd, ProtectSystem, PrivateTmp, ReadWritePaths and so on make one",
      );
    }
    const failure =
      (await clearDeadMounts(directory, log)) ??
      prepareMountPoint(directory) ??
      (await mount.#start());
    return failure ?? mount;
  }

  get session(): Session | undefined {
    return this.#serving?.session;
  }

  /** How the event loop is woken for requests. */
  get wakeKind(): WakeKind | undefined {
    return this.#serving?.wakeKind;
  }

  async #start(): Promise<string | undefined> {
    const { directory } = this.#options;
    const device = openDevice();
    if (typeof device === "string") return device;
    const mounted = device.mount(directory, OPTIONS);
    if (mounted < 0) {
      device[Symbol.dispose]();
      const hint = mounted === Errno.EPERM ? `; ${IN_A_CONTAINER}` : "";
      return `fuse_mount error: ${errnoText(mounted)}${hint}`;
    }
    const failure = await this.#serve(device, undefined);
    if (failure !== undefined) detachMount(directory);
    // `#ended` ignores a session that ends before it is set.
    else if (this.session?.ended === true) return "fuse_mount error: it was unmounted at once";
    return failure;
  }

  /** Serves a mounted device; `negotiated`: INIT was answered by a previous server. */
  async #serve(
    device: FuseDevice,
    negotiated: Negotiated | undefined,
  ): Promise<string | undefined> {
    const { log, requestTimeoutSeconds, hangGuard, hooks, mayPoll, wake } = this.#options;
    const { fileSystem } = this;
    const byKernel = hangGuard === "auto" ? requestTimeoutSeconds : 0;
    const session = new Session({
      device,
      fileSystem,
      log,
      requestTimeoutSeconds: byKernel,
      hooks,
      mayPoll,
      ...(negotiated === undefined ? {} : { negotiated }),
      initialized: () => this.#initialized(device, session),
    });
    const ended = (): void => void this.#ended(session);
    if (negotiated !== undefined) this.#options.takenOver?.();
    if (negotiated?.canResend === true) {
      this.#options.ledger.resume(this.#connection ?? 0);
      session.resend();
    }
    const serving = await Serving.start({ device, session, wake, ended });
    if (typeof serving === "string") {
      device[Symbol.dispose]();
      return `fuse_mount error: /dev/fuse cannot be watched: ${serving}`;
    }
    this.#serving = serving;
    this.#device = device;
    if (negotiated === undefined || session.ended) return undefined;
    this.#initialized(device, session);
    return undefined;
  }

  /** After the negotiation: stores the device with the manager, and starts the watchdog. */
  #initialized(device: FuseDevice, session: Session): void {
    const { negotiated } = session;
    if (negotiated === undefined) return;
    // Without RESEND, requests that a killed server had read stay unanswered: its mount must end.
    if (negotiated.canResend) this.#store(device, negotiated);
    const { ledger } = this.#options;
    if (this.#stored !== undefined && !ledger.isOpen) ledger.begin(this.#connection ?? 0);
    this.#watch(negotiated);
  }

  /** Minor device number of the mount, which is the id of its FUSE connection. */
  get #connection(): number | undefined {
    return mountsAt(this.#options.directory).at(-1)?.minor;
  }

  #store(device: FuseDevice, negotiated: Negotiated): void {
    const name = storedName(negotiated);
    this.#stored = storeDescriptor(process.env, device.fd, name) ? name : undefined;
  }

  #watch({ requestTimeoutSeconds: byKernel }: Negotiated): void {
    const { directory, hangGuard, requestTimeoutSeconds, log } = this.#options;
    if (hangGuard === "off" || byKernel > 0 || requestTimeoutSeconds === 0) return;
    const minor = this.#connection;
    if (minor === undefined) return;
    const watchdog = MountWatchdog.start(minor, requestTimeoutSeconds * 1000);
    if (typeof watchdog === "string") {
      log.warn(
        `nothing aborts ${directory} if this server hangs: ${watchdog}; ` +
          "processes that access it would then wait forever",
      );
      return;
    }
    this.#watchdog?.[Symbol.dispose]();
    this.#watchdog = watchdog;
  }

  /**
   * The session ended (ENODEV): unmounted if the mount is gone, aborted if it is still there.
   */
  async #ended(session: Session): Promise<void> {
    // Not this mount's session: a device that could not be taken over ends before it serves.
    if (this.#closed || this.#serving?.session !== session) return;
    const { directory, log, lost } = this.#options;
    this.#release();
    if (!mountsAt(directory).some(({ type }) => type.startsWith("fuse"))) {
      this.#closed = true;
      lost();
      return;
    }
    log.error(
      `${directory}: the kernel aborted the connection (a request was not answered in time, or ` +
        "an administrator aborted it): mounting again; files that were open there give ENOTCONN",
    );
    const blocked = await clearDeadMounts(directory, log);
    // `close` was called meanwhile: it would not unmount what is mounted now.
    if (this.#closed) return;
    const failure = blocked ?? (await this.#start());
    if (this.#closed) return;
    if (failure === undefined) {
      log.info(`${directory}: mounted again`);
      return;
    }
    this.#closed = true;
    lost(`${directory} cannot be mounted again: ${failure}`);
  }

  /** Releases the nodes, the device, the ledger and the watchdog of a mount that is gone. */
  #release(): void {
    this.fileSystem.disconnected();
    this.#device = undefined;
    this.#options.ledger.end();
    this.#forget();
    this.#watchdog?.[Symbol.dispose]();
    this.#watchdog = undefined;
  }

  /** Has the manager drop the device: the mount ends with this server. */
  #forget(): void {
    if (this.#stored !== undefined) forgetDescriptor(process.env, this.#stored);
    this.#stored = undefined;
  }

  /** False when `handOver` cannot succeed; true does not promise that it will. */
  get canBeHandedOver(): boolean {
    if (this.#options.ledger.lacksInodes) return false;
    return this.#stored !== undefined || this.session?.negotiated?.canResend === false;
  }

  /**
   * Stops serving and leaves the mount to the next server; until then, requests wait in the kernel.
   * Does nothing when the manager does not store the device, when a change is pending that the
   * kernel cannot send again, or when the ledger lacks inodes that the next server must know of.
   */
  handOver(): void {
    if (!this.canBeHandedOver) return;
    const { session } = this;
    const negotiated = session?.negotiated;
    if (this.#closed || this.#device === undefined || negotiated === undefined) return;
    if (!negotiated.canResend && session?.pendingCount === 0) {
      this.#store(this.#device, negotiated);
    }
    if (this.#stored === undefined) return;
    this.#closed = true;
    this.#atExit[Symbol.dispose]();
    this.#watchdog?.[Symbol.dispose]();
    this.#serving?.release();
    this.#options.log.info(`${this.#options.directory}: the mount is left to the next server`);
  }

  /** Unmounts lazily, so that open files and processes inside do not prevent it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#atExit[Symbol.dispose]();
    const { directory, log } = this.#options;
    this.#release();
    const result = detachMount(directory);
    if (result < 0) log.warn(`${directory} cannot be unmounted: ${errnoText(result)}`);
    this.#serving?.close();
  }
}
