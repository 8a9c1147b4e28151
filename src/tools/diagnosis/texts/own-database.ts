/** Error texts that only pmxcfs-ipc has: about config.db and the files beside it. */
import type { ErrorText } from "../error-text.ts";

export const OWN_DATABASE_TEXTS: readonly ErrorText[] = [
  {
    id: "db-replaced",
    title: "config.db was replaced by another file (or was removed) while it is served",
    patterns: [
      /\bwas (removed|overwritten|replaced by another file) while it is served/,
      /\b(another file is in its place|it is gone) since the last server was killed/,
    ],
    meaning:
      "A person or a program removed config.db, overwrote it, or put another file in its place " +
      "while it was served. The server goes on in config.db.replaced-TIME; its next start reads " +
      "what is then at the path. If it was killed before it noticed that, or if the file was " +
      "replaced after the kill, the next start keeps what was served under that name.",
    causes: [{ code: "DB_REPLACED", check: "`ls -l /var/lib/pve-cluster/config.db*`" }],
  },
  {
    id: "changes-lost",
    title: "config.db.changes does not belong to this database (or is damaged, or is missing)",
    patterns: [
      /config\.db\.changes (does not belong to|is damaged after)/,
      /changes after version \d+ (waited in config\.db\.changes|are lost)/,
    ],
    meaning:
      "Changes of --commit batched that waited in the journal were not all applied to config.db. " +
      "The line names the file in which they are kept, if there is one.",
    causes: [
      {
        text:
          "Another server, a restore or an edit changed config.db after a crash. Compare the " +
          "files of the tree that the line names with a backup or another node.",
        check: "`ls -l /var/lib/pve-cluster/config.db.changes*`",
        signs: /does not belong|missing/,
      },
      {
        text: "The machine lost power: without --sync full the last changes can be lost.",
        check: "`journalctl -b -1 -n 5` ends without a shutdown",
        signs: /lost power|damaged/,
      },
    ],
  },
  {
    id: "wal-kept",
    title: "config.db-wal has 17.0 MiB: pid 44 (sqlite3) keeps a transaction open",
    patterns: [/-wal has [\d.]+ mib: .*keeps a transaction open/],
    meaning:
      "A program reads an old state of config.db, so the server cannot empty the write-ahead " +
      "log, which grows with each change.",
    causes: [{ code: "DB_WAL_LARGE", check: "`fuser -v /var/lib/pve-cluster/config.db-wal`" }],
  },
];
