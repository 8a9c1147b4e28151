/**
 * The C shim's functions with types. Each returns a value >= 0 or a negative errno (native/shim.c).
 * Addresses are numbers, and only of memory that the shim mapped. Buffers of the JS heap are passed
 * per call and never kept, because Bun moves them.
 */
import { dlopen, type FFIFunction } from "bun:ffi";
import { withShimPath } from "./library.ts";

/** An address that the shim returned; valid until it is released. */
export type Address = number;

const SYMBOLS = {
  shim_listen: { args: ["buffer", "i32"], returns: "i64_fast" },
  shim_replace: { args: ["i32", "i32"], returns: "i64_fast" },
  shim_accept: { args: ["i32"], returns: "i64_fast" },
  shim_receive_from: { args: ["i32", "buffer", "i64_fast", "buffer"], returns: "i64_fast" },
  shim_stop_credentials: { args: ["i32"], returns: "i64_fast" },
  shim_connect: { args: ["buffer"], returns: "i64_fast" },
  shim_peer: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_send: { args: ["i32", "buffer", "i64_fast"], returns: "i64_fast" },
  shim_connect_as: { args: ["buffer", "i32", "i32"], returns: "i64_fast" },
  shim_send_as: { args: ["i32", "buffer", "i64_fast", "i32", "i32"], returns: "i64_fast" },
  shim_receive: { args: ["i32", "buffer", "i64_fast"], returns: "i64_fast" },
  shim_notify: { args: ["buffer", "buffer"], returns: "i64_fast" },
  shim_close: { args: ["i32"], returns: "i64_fast" },
  shim_close_socket: { args: ["i32"], returns: "i64_fast" },
  shim_dir_open: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_dir_make: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_file_make: { args: ["i32", "buffer", "i64_fast"], returns: "i64_fast" },
  shim_file_open: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_file_size: { args: ["i32"], returns: "i64_fast" },
  shim_give: { args: ["i32", "i32", "i32", "i32"], returns: "i64_fast" },
  shim_give_group: { args: ["i32", "i32", "i32"], returns: "i64_fast" },
  shim_share: { args: ["i32", "i32", "i32"], returns: "i64_fast" },
  shim_look_at: { args: ["i32", "buffer", "buffer"], returns: "i64_fast" },
  shim_inode: { args: ["i32"], returns: "i64_fast" },
  shim_rename: { args: ["i32", "buffer", "buffer"], returns: "i64_fast" },
  shim_unlink: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_rmdir: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_dir_open_below: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_dir_open_exact: { args: ["buffer"], returns: "i64_fast" },
  shim_dir_read: { args: ["i32", "buffer", "i64_fast"], returns: "i64_fast" },
  shim_dir_rewind: { args: ["i32"], returns: "i64_fast" },
  shim_file_new: { args: ["i32", "buffer"], returns: "i64_fast" },
  shim_set_mode: { args: ["i32", "i32"], returns: "i64_fast" },
  shim_sync: { args: ["i32"], returns: "i64_fast" },
  shim_execute: { args: ["buffer", "buffer", "i32", "buffer", "i32"], returns: "i64_fast" },
  shim_inotify_open: { args: [], returns: "i64_fast" },
  shim_inotify_watch: { args: ["i32", "buffer", "u32"], returns: "i64_fast" },
  shim_inotify_unwatch: { args: ["i32", "i32"], returns: "i64_fast" },
  shim_inotify_read: { args: ["i32", "buffer", "i64_fast"], returns: "i64_fast" },
  shim_raise_descriptors: { args: [], returns: "i64_fast" },
  shim_unix_seconds: { args: [], returns: "i64_fast" },
  shim_page_size: { args: [], returns: "i64_fast" },
  shim_reserve: { args: ["i64_fast"], returns: "i64_fast" },
  shim_allocate: { args: ["i64_fast"], returns: "i64_fast" },
  shim_place: { args: ["i64_fast", "i32", "i64_fast"], returns: "i64_fast" },
  shim_release: { args: ["i64_fast", "i64_fast"], returns: "i64_fast" },
  shim_guard_install: { args: [], returns: "i64_fast" },
  shim_guard_add: { args: ["i64_fast", "i64_fast"], returns: "i64_fast" },
  shim_guard_remove: { args: ["i32"], returns: "i64_fast" },
  shim_wake: { args: ["i64_fast"], returns: "i64_fast" },
  shim_wait: { args: ["i64_fast", "i64_fast", "i64_fast"], returns: "i64_fast" },
  shim_system_call_ns: { args: [], returns: "i64_fast" },
  shim_poll: { args: ["i64_fast", "i32", "i32", "i32", "i64_fast"], returns: "i64_fast" },
  shim_drain_all: { args: ["i64_fast", "i32"], returns: "i64_fast" },
  shim_readable: { args: ["i32"], returns: "i64_fast" },
  shim_step_aside: { args: ["i32"], returns: "i64_fast" },
  shim_slice: { args: ["i64_fast"], returns: "i64_fast" },
  shim_fuse_open: { args: [], returns: "i64_fast" },
  shim_fuse_mount: { args: ["buffer", "buffer"], returns: "i64_fast" },
  shim_unmount: { args: ["buffer", "i32"], returns: "i64_fast" },
  shim_fuse_read: { args: ["i32", "i64_fast", "i64_fast", "i64_fast"], returns: "i64_fast" },
  shim_fuse_answer: {
    args: ["i32", "buffer", "i64_fast", "buffer", "i64_fast"],
    returns: "i64_fast",
  },
  shim_socket_pair: { args: ["buffer"], returns: "i64_fast" },
  shim_epoll_add: { args: ["i32", "i32", "u32", "u32"], returns: "i64_fast" },
  shim_epoll_remove: { args: ["i32", "i32"], returns: "i64_fast" },
  shim_watch: { args: ["i32", "i32"], returns: "i64_fast" },
  shim_watchdog: { args: ["i32", "i32", "i64_fast"], returns: "i64_fast" },
  shim_notify_descriptor: { args: ["buffer", "buffer", "i32"], returns: "i64_fast" },
  shim_adopt: { args: ["i32"], returns: "i64_fast" },
  shim_lock: { args: ["i32"], returns: "i64_fast" },
  shim_epoll: { args: [], returns: "i64_fast" },
  shim_epoll_watch: { args: ["i32", "i32", "i32", "i32", "i32", "i32"], returns: "i64_fast" },
  shim_epoll_turn: { args: ["i32", "i64_fast"], returns: "i64_fast" },
  shim_graft: { args: ["i32", "i32", "i32", "u32", "u32"], returns: "i64_fast" },
} as const;

type Argument<T> = T extends "buffer" ? NodeJS.TypedArray : number;
type Arguments<T> = { -readonly [I in keyof T]: Argument<T[I]> };

/** bun:ffi types an i64 as number or bigint; every value here is below 2^53, so a number. */
type Shim = {
  readonly [K in keyof typeof SYMBOLS]: (
    ...values: Arguments<(typeof SYMBOLS)[K]["args"]>
  ) => number;
};

/** The shim, loaded once, at import, in less than 1 ms. */
export const shim = withShimPath((path) =>
  dlopen(path, SYMBOLS as unknown as Record<string, FFIFunction>),
).symbols as unknown as Shim;

/** A NUL-terminated copy for one call, for names that are latin1: one byte per character. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`, "latin1");
}

/** A NUL-terminated copy in UTF-8 for one call, for paths of this process and for messages. */
export function cText(text: string): Buffer {
  return Buffer.from(`${text}\0`, "utf8");
}
