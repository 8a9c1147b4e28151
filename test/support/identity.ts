/** The users as whom tests connect: other uids, which only root can take. */

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Identity = { uid: 0, gid: 0 };
/** Debian's fixed ids (base-passwd). */
export const WWW_DATA: Identity = { uid: 33, gid: 33 };
export const NOBODY: Identity = { uid: 65_534, gid: 65_534 };

/** Throws if this process cannot become another user. */
export function needRoot(): void {
  if (process.getuid?.() !== 0) throw new Error("needs root, to connect as other users");
}
