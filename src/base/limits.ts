/**
 * Every bound and default of the server, each with where it comes from. A number that limits
 * something stands here and nowhere else; what an admin may want to change is an option of
 * `serve`, with this as its default.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** The transport (src/ipc, src/shm). */
export const IpcLimits = {
  /** sun_path of the abstract address, less the leading NUL (unix(7)). */
  addressPathBytes: 108,
  /**
   * Longer service names are refused: NAME_MAX - 20 (libqb ipc_setup.c;
   * docs/internals/handshake.md).
   */
  serviceNameBytes: 235,
  /** Smallest message size a connection gets: the set-up answer itself (libqb qb_ipcc_connect). */
  minMessageBytes: 12_328,
  /** Largest message size a client may ask for; libqb knows no bound. */
  maxMessageBytes: 16 * MiB,
  /** Half-open handshakes end after this; libqb waits for ever. */
  handshakeTimeoutMs: 2_000,
  /** Handshakes under way of peers that will be refused; beyond it, as for pendingHandshakes. */
  unwantedHandshakes: 16,
  /** Those of peers that will be accepted; beyond it the process with most loses its oldest. */
  pendingHandshakes: 128,
  /** Connections of one uid other than root; 0 = as many as there may be in all. */
  connectionsPerUid: 0,
  /** Descriptors reserved for files, databases and root. */
  reservedDescriptors: 96,
  /** Mappings (of vm.max_map_count) reserved for the runtime, which aborts without them. */
  reservedMappings: 8_192,
  /** Connections that root may have beyond the bound, so that root can inspect a full server. */
  rootReserve: 8,
  /** Part of /dev/shm that the rings of one uid other than root may take. */
  shmShareOfUid: 0.5,
  /** Part of /dev/shm that is kept for root's connections, but no more than those may need. */
  shmShareForRoot: 1 / 16,
  /** Descriptors one connection holds: its setup socket. */
  descriptorsPerConnection: 1,
  /** listen(2) backlog. */
  backlog: 4_096,
  /** Connections accepted before others get their turn. */
  acceptsPerTurn: 64,
  /** Time spent on making rings for new connections before others get their turn. */
  setUpMsPerTurn: 2,
  /** Requests served from one connection before others get their turn. */
  requestsPerTurn: 64,
  /** Requests of one connection whose asynchronous answers are awaited. */
  queuedRequests: 8,
  /** Interval of the tries to send a reply for which the response ring has no room. */
  replyRetryMs: 5,
  /** A client that makes no room for a reply within this is disconnected. */
  replyDeadlineMs: 10_000,
  /** Events whose notify byte could not be sent yet (libqb: outstanding_notifiers). */
  outstandingNotifies: 1_024,
  /** Ring directories prepared for the next clients. */
  pooledRings: 4,
  /** At a stop, requests in the rings are still answered, for at most this long. */
  stopDeadlineMs: 3_000,
} as const;

/** Adaptive polling (src/ipc/scheduling/ring-poller.ts). */
export const PollLimits = {
  /** The active rings are polled for this long after the last message. */
  idleUs: 20,
  /** Longest turn of one connection. */
  perConnectionUs: 350,
  /** Longest turn of the poller; it ends earlier when anything else in the event loop is ready. */
  perTurnUs: 1_500,
  /** A connection whose next request is predicted later than this is not polled for. */
  maxGapUs: 100,
  /** A request this soon after its connection's last reply counts as back to back. */
  backToBackUs: 4,
  /** Misses in a row that end polling for a connection. */
  missesToStop: 2,
  /** Connections polled at once. Measured: with 16, 16 clients complete 25 % fewer requests. */
  activeConnections: 4,
  /** Requests served in a row from one connection while others are active. */
  requestsInARow: 32,
  /** After them it is not polled for this long, which frees its client's processor for another. */
  yieldUs: 10,
} as const;

/** What is written to the log (src/base/log.ts, src/observe/request-log.ts). */
export const LogLimits = {
  /** Debug lines per second: beyond 10000 in 30 s journald drops any line (RateLimitBurst). */
  debugLinesPerSecond: 200,
  /** Debug lines per second about requests. */
  requestLinesPerSecond: 150,
  /** Debug lines per second about the requests of one connection. */
  requestLinesOfOne: 100,
  /** Characters of a request and its arguments in the log. */
  requestChars: 400,
  /** Bytes of a body that are decoded for them; more than the longest fixed layout, 528. */
  requestBytes: KiB,
  /** Bytes of lines that wait while stderr has no reader; further lines are dropped. */
  unreadBytes: MiB,
} as const;

/** The sockets for metrics and status (src/observe). */
export const ObserveLimits = {
  /** Connections for metrics at once; one more ends the oldest. */
  scrapers: 16,
  /** A scrape that takes longer is ended (Prometheus's default scrape_timeout). */
  scrapeMs: 10_000,
  /** Bytes of a request line with its headers (nginx: 8 KiB). */
  scrapeHeadBytes: 8 * KiB,
  /** Rendering the metrics takes at most one part in this many of the time, however many scrape. */
  renderShare: 10,
  /** Readers of the status at once; one more ends the oldest. */
  statusReaders: 16,
  /** A status reader that takes longer is ended. */
  statusReadMs: 10_000,
} as const;

/** The mount (src/fuse, src/pmxcfs/mount). */
export const MountLimits = {
  /**
   * The kernel ends the connection when a request is answered later than this, so that a stopped
   * server does not hang processes that look at the mount. Well above what a change may wait for
   * the cluster.
   */
  requestTimeoutMs: 45_000,
} as const;

/** What pmxcfs keeps (src/pmxcfs), as the C server bounds it. */
export const CfsLimits = {
  /** One file (memdb.h MEMDB_MAX_FILE_SIZE). */
  fileBytes: MiB,
  /** All files together (memdb.h MEMDB_MAX_FSSIZE). */
  treeBytes: 128 * MiB,
  /** Files and directories (memdb.h MEMDB_MAX_INODES). */
  treeInodes: 256 * KiB,
  /** Content of one row of a config.db that is loaded; no message can carry a larger one. */
  loadedFileBytes: 16 * MiB,
  /** Content of all rows that are loaded, and their number; the C server has no bounds. */
  loadedBytes: 512 * MiB,
  loadedRows: MiB,
  /** One status value (status.h CFS_MAX_STATUS_SIZE); the count includes a final NUL. */
  statusBytes: 32 * KiB,
  /** Status keys of one node; the C server has no bound. */
  statusKeys: 4_096,
  /** Bytes of a fixed name field that count; the 256th is taken as NUL (docs/operations.md). */
  nameBytes: 255,
  /** An RRD value: 1..4095 bytes ending in NUL. */
  rrdBytes: 4_096,
  /** RRD keys; the C server has no bound. */
  rrdKeys: 65_536,
  /** RRD entries older than this are dropped from the dump. */
  rrdExpiryMs: 5 * 60 * 1000,
  /** The cluster log ring (logger.c CLOG_DEFAULT_SIZE). */
  clusterLogBytes: 128 * KiB,
  /** One entry of it (logger.c CLOG_MAX_ENTRY_SIZE). */
  clusterLogEntryBytes: 4 * KiB,
  /** Entries of a GET_CLUSTER_LOG that asks for no number of them. */
  clusterLogDefaultEntries: 50,
} as const;

/** How changes wait (src/pmxcfs/replication). */
export const ReplicationLimits = {
  /** A change waits this long for another process's write lock on config.db, then fails: EIO. */
  lockedDatabaseMs: 3_000,
  /** Interval of its tries. */
  lockedRetryMs: 5,
  /** Changes that wait at once; the kernel has about as many requests in flight. */
  waitingChanges: 1_024,
} as const;
