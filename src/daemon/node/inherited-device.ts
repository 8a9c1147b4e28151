/**
 * The FUSE device of the previous server, kept by systemd's descriptor store. Its name there
 * encodes the result of INIT, which the kernel sends only once per mount.
 */
import { readFileSync } from "node:fs";
import type { Log } from "../../base/log.ts";
import { type Negotiated, REQUEST_BYTES } from "../../fuse/negotiation.ts";
import { forgetDescriptor, storedDescriptors } from "../../platform/descriptor-store.ts";
import { closeDescriptor } from "../../platform/files.ts";
import { FuseDevice } from "../../platform/fuse-device.ts";
import { mountsAt } from "../../platform/mounts.ts";

const NAME = /^fuse-(\d+)-(\d+)-([01])$/;

/** The device's name in the descriptor store: minor version, timeout, resend. */
export function storedName({ minor, requestTimeoutSeconds, canResend }: Negotiated): string {
  return `fuse-${minor}-${requestTimeoutSeconds}-${canResend ? 1 : 0}`;
}

function negotiatedOf(name: string): Negotiated | undefined {
  const [, minor, timeout, resend] = NAME.exec(name) ?? [];
  if (minor === undefined) return undefined;
  const requestTimeoutSeconds = Number(timeout);
  return { minor: Number(minor), requestTimeoutSeconds, canResend: resend === "1" };
}

/** Whether the device belongs to the mount. Kernels before 6.17 do not say: true is assumed. */
function isOfConnection(fd: number, minor: number): boolean {
  try {
    const text = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
    const connection = /^fuse_connection:\s*(\d+)$/m.exec(text)?.[1];
    return connection === undefined || Number(connection) === minor;
  } catch {
    return false;
  }
}

/** A device that the manager has passed. */
export interface InheritedDevice {
  readonly device: FuseDevice;
  readonly negotiated: Negotiated;
}

/**
 * Closes a device that is not taken over, and has the manager do so: as long as a descriptor of it
 * is open, its mount is not dead, and processes in it, and the start of this server, wait.
 */
export function discardInherited({ device, negotiated }: InheritedDevice): void {
  device[Symbol.dispose]();
  forgetDescriptor(process.env, storedName(negotiated));
}

/** The stored device of the mount at `directory`; other stored descriptors are closed. */
export function inheritedDevice(directory: string, log: Log): InheritedDevice | undefined {
  const mount = mountsAt(directory).at(-1);
  let found: InheritedDevice | undefined;
  for (const { fd, name } of storedDescriptors(process.env)) {
    const negotiated = negotiatedOf(name);
    const isOurs = mount?.type.startsWith("fuse") === true && isOfConnection(fd, mount.minor);
    if (negotiated !== undefined && isOurs && found === undefined) {
      found = { device: new FuseDevice(fd, REQUEST_BYTES), negotiated };
    } else {
      log.debug(`closed descriptor ${fd} (${name}) of the service manager: no mount of ours`);
      closeDescriptor(fd);
      forgetDescriptor(process.env, name);
    }
  }
  return found;
}
