/** Error texts of the server about its socket and its clients. */
import type { ErrorText } from "../error-text.ts";

export const LISTENER_TEXTS: readonly ErrorText[] = [
  {
    id: "address-in-use",
    title: "Could not bind AF_UNIX (): Address already in use",
    patterns: [/could not bind af_unix/, /withdrawing server sockets/],
    errno: ["EADDRINUSE"],
    places: ["ipc"],
    meaning:
      "Another process listens on the socket. pmxcfs keeps running without IPC: /etc/pve is " +
      "mounted, and every command fails. (Withdrawing server sockets is also the last line of a " +
      "normal stop.)",
    causes: [
      { code: "SOCKET_TAKEN", check: "`pmxcfs-ipc --check --only listener` as root" },
      { code: "SERVER_TWICE", check: "`pgrep -a pmxcfs` shows two" },
    ],
  },
  {
    id: "bad-user",
    title: "connection from bad user 1000! - rejected",
    patterns: [/connection from bad user/, /error in connection setup .*qb-/],
    meaning:
      "The server refused a client, which prints Unknown error -1. The line has only the uid. If " +
      "the uid is 0, the gid is the reason.",
    causes: [
      { code: "ACCESS_REFUSED_GID", check: "the line says user 0", signs: /user 0\b/ },
      { code: "ACCESS_REFUSED_UID", check: "the line names another user" },
    ],
  },
  {
    id: "response-send",
    title: "qb_ipcs_response_send: ...",
    patterns: [/qb_ipcs_response_send/, /qb_ipcs_event_send/],
    meaning:
      "The server could not write an answer into the client's ring: the answer was too large, or " +
      "the client had ended. It disconnects the client, which prints Transport endpoint is not " +
      "connected.",
    causes: [
      { code: "REPLY_TOO_LARGE", check: "the line repeats: `pmxcfs-ipc --check --only requests`" },
      {
        text: "The client ended before it read its answer.",
        check: "the line comes once, and no client reports an error",
      },
    ],
  },
  {
    id: "client-gone",
    kind: "normal",
    title: "[libqb] warning: epoll_ctl(del): Bad file descriptor",
    patterns: [
      /epoll_ctl\(del\): bad file descriptor/,
      /new_event_notification.*broken pipe/,
      /\[libqb\] .*(broken pipe|connection reset by peer)/,
    ],
    meaning:
      "A client ended while the server was working on its connection. Harmless: the server " +
      "removes the connection, and other clients are not affected.",
    causes: [{ text: "A client ended or was killed.", check: "no client reports an error" }],
  },
];
