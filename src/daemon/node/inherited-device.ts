/**
 * The FUSE device of the previous server, when systemd kept it. What was negotiated with the kernel
 * is encoded in its name, because INIT comes once per mount.
 */
import { readFileSync } from "node:fs";
import type { Log } from "../../base/log.ts";
import { type Negotiated, REQUEST_BYTES } from "../../fuse/negotiation.ts";
import { storedDescriptors } from "../../platform/descriptor-store.ts";
import { closeDescriptor } from "../../platform/files.ts";
import { FuseDevice } from "../../platform/fuse-device.ts";
import { mountsAt } from "../../platform/mounts.ts";

const NAME = /^fuse-(\d+)-(\d+)-([01])$/;

/** The name under which the manager keeps a device: minor version, timeout, resend. */
export function storedName({ minor, requestTimeoutSeconds, canResend }: Negotiated): string {
  return `fuse-${minor}-${requestTimeoutSeconds}-${canResend ? 1 : 0}`;
}

function negotiatedOf(name: string): Negotiated | undefined {
  const [, minor, timeout, resend] = NAME.exec(name) ?? [];
  if (minor === undefined) return undefined;
  const requestTimeoutSeconds = Number(timeout);
  return { minor: Number(minor), requestTimeoutSeconds, canResend: resend === "1" };
}

/** Whether the device belongs to the mount; where the kernel does not tell (< 6.17), it may. */
function isOfConnection(fd: number, minor: number): boolean {
  try {
    const text = readFileSync(`/proc/self/fdinfo/${fd}`, "latin1");
    const connection = /^fuse_connection:\s*(\d+)$/m.exec(text)?.[1];
    return connection === undefined || Number(connection) === minor;
  } catch {
    return false;
  }
}

/** The device of the mount at `directory`; all others that were handed over are closed. */
export function inheritedDevice(
  directory: string,
  log: Log,
): { readonly device: FuseDevice; readonly negotiated: Negotiated } | undefined {
  const mount = mountsAt(directory).at(-1);
  let found: { device: FuseDevice; negotiated: Negotiated } | undefined;
  for (const { fd, name } of storedDescriptors(process.env)) {
    const negotiated = negotiatedOf(name);
    const isOurs = mount?.type.startsWith("fuse") === true && isOfConnection(fd, mount.minor);
    if (negotiated !== undefined && isOurs && found === undefined) {
      found = { device: new FuseDevice(fd, REQUEST_BYTES), negotiated };
    } else {
      log.debug(`closed descriptor ${fd} (${name}) of the service manager: no mount of ours`);
      closeDescriptor(fd);
    }
  }
  return found;
}
