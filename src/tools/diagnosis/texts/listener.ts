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
      "Another process has the socket. pmxcfs goes on without IPC: /etc/pve is mounted, and " +
      "every command fails. (Withdrawing server sockets is also the last line of a normal stop.)",
    causes: [{ code: "SOCKET_TAKEN", tell: "`pmxcfs-ipc --check --only listener` as root" }],
  },
  {
    id: "bad-user",
    title: "connection from bad user 1000! - rejected",
    patterns: [/connection from bad user/, /error in connection setup .*qb-/],
    meaning:
      "The server's side of Unknown error -1. It names the uid only, which misleads when it is " +
      "0: then the gid is at fault.",
    causes: [
      { code: "ACCESS_REFUSED_GID", tell: "the user is 0", signs: /user 0\b/ },
      { code: "ACCESS_REFUSED_UID", tell: "the user is not 0" },
    ],
  },
  {
    id: "response-send",
    title: "qb_ipcs_response_send: ...",
    patterns: [/qb_ipcs_response_send/, /qb_ipcs_event_send/],
    meaning:
      "The server had an answer and could not put it into the client's ring: it was too large, " +
      "or the client was gone. It then disconnects, and the client prints Transport endpoint is " +
      "not connected.",
    causes: [
      { code: "REPLY_TOO_LARGE", tell: "again and again: `pmxcfs-ipc --check --only requests`" },
      {
        text: "The client ended while it was served.",
        tell: "once, and no client reports an error",
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
      "The server's own log when a client ends at the wrong moment. Harmless: the connection is " +
      "cleaned up, and other clients are not affected.",
    causes: [{ text: "A client ended or was killed.", tell: "nothing to do" }],
  },
];
