/**
 * The bounds and defaults of the server that more than one file needs, or that an administrator may
 * want to change (options of `serve`, with these defaults), each with its source. A bound of one
 * file only is at the head of that file.
 */

const KiB = 1024;
const MiB = 1024 * KiB;

/** Message size that PVE's clients ask for, headers included (PVE::IPCC, IPCC.xs). */
export const PVE_MESSAGE_BYTES = MiB;

/** The transport (src/ipc, src/shm). */
export const IpcLimits = {
  /** Size of sun_path, the leading NUL of an abstract address included (unix(7)). */
  addressPathBytes: 108,
  /** Smallest message size a connection gets: the set-up answer itself (libqb qb_ipcc_connect). */
  minMessageBytes: 12_328,
  /** Largest message size that a client can ask for: a field of 32 bits (libqb qbipc_common.h). */
  mostMessageBytes: 0xffff_ffff,
  /** Largest message size a client may ask for; libqb has no bound. */
  maxMessageBytes: 16 * MiB,
  /** Half-open handshakes end after this; libqb waits forever. */
  handshakeTimeoutMs: 2_000,
  /**
   * Pending handshakes of peers that will be accepted; one more ends the oldest of the process that
   * has most.
   */
  pendingHandshakes: 128,
  /** The same bound for peers that will be refused. */
  unwantedHandshakes: 16,
  /** Connections of one uid other than root; 0: no bound per uid. */
  connectionsPerUid: 0,
  /** Descriptors reserved for files, databases and root. */
  reservedDescriptors: 96,
  /** Mappings (of vm.max_map_count) reserved for the runtime, which aborts without them. */
  reservedMappings: 8_192,
  /** Connections above the bound, for root only, so that root can inspect a full server. */
  rootReserve: 8,
  /** Part of /dev/shm that the rings of one uid other than root may take. */
  shmShareOfUid: 0.5,
  /** Largest part of /dev/shm that is reserved for root's connections. */
  shmShareForRoot: 1 / 16,
  /** Descriptors per connection: its setup socket. */
  descriptorsPerConnection: 1,
  /** listen(2) backlog. */
  backlog: 4_096,
  /** Connections accepted per turn of the event loop. */
  acceptsPerTurn: 64,
  /** Time spent on making rings for new connections per turn of the event loop. */
  setUpMsPerTurn: 2,
  /** Requests served from one connection per turn. */
  requestsPerTurn: 64,
  /** Requests of one connection whose asynchronous replies are pending. */
  queuedRequests: 8,
  /** Interval of the attempts to send a reply for which the response ring has no room. */
  replyRetryMs: 5,
  /** A client that makes no room for a reply within this is disconnected. */
  replyDeadlineMs: 10_000,
  /** Events whose notify bytes are not sent yet (libqb: outstanding_notifiers). */
  outstandingNotifies: 1_024,
  /** Ring directories prepared for the next clients. */
  pooledRings: 4,
  /** At a stop, the requests in the rings are still answered for at most this long. */
  stopDeadlineMs: 3_000,
} as const;

/** Adaptive polling (src/ipc/scheduling/ring-poller.ts). */
export const PollLimits = {
  /** The active rings are polled for this long after the last message. */
  idleUs: 20,
  /** Turn budget of one connection. */
  perConnectionUs: 350,
  /** Longest turn of the poller; it ends earlier when other work in the event loop is ready. */
  perTurnUs: 1_500,
  /** A connection whose next request is predicted later than this is not polled for. */
  maxGapUs: 100,
  /**
   * A request found this soon after the last reply, plus two system calls (ring-poller.ts), is back
   * to back.
   */
  backToBackUs: 2,
  /** Misses in a row that stop the polling of a connection. */
  missesToStop: 2,
  /** Connections polled at once. Measured: with 16, 16 clients complete 25 % fewer requests. */
  activeConnections: 4,
  /** Requests served in a row from one connection while others are active. */
  requestsInARow: 32,
  /** After those, it is not polled for this long, which frees its client's processor. */
  yieldUs: 10,
} as const;

/** The log (src/base/log.ts, src/observe/request-log.ts). */
export const LogLimits = {
  /** Debug lines per second: above 10000 lines in 30 s journald drops lines (RateLimitBurst). */
  debugLinesPerSecond: 200,
  /** Debug lines per second about requests. */
  requestLinesPerSecond: 150,
  /** Debug lines per second about the requests of one connection. */
  requestLinesPerConnection: 100,
  /** Lines that peers cause, such as refusals, per `peerIntervalMs`. */
  peerLines: 20,
  peerIntervalMs: 10_000,
  /** Characters of a request and its arguments in the log. */
  requestChars: 400,
  /** Bytes of a body that are decoded for the log; more than the longest fixed layout, 528. */
  requestBytes: KiB,
  /** Bytes of lines buffered while stderr, or a trace's stdout, is not read; more are dropped. */
  unreadBytes: MiB,
} as const;

/** The sockets for metrics and status (src/observe). */
export const ObserveLimits = {
  /** Connections for metrics at once; a further one ends the oldest. */
  scrapers: 16,
  /** A scrape that takes longer is aborted (Prometheus's default scrape_timeout). */
  scrapeMs: 10_000,
  /** Bytes of a request line with its headers (nginx: 8 KiB). */
  scrapeHeadBytes: 8 * KiB,
  /** Part of the time that rendering the metrics may take, with any number of scrapers. */
  renderShare: 1 / 10,
  /** Readers of the status at once; a further one ends the oldest. */
  statusReaders: 16,
  /** A status reader that takes longer is disconnected. */
  statusReadMs: 10_000,
} as const;

/** The largest number of 16 bits. */
const FUSE_TIMEOUT_SECONDS = 0xffff;

/** The mount (src/fuse, src/pmxcfs/mount). */
export const MountLimits = {
  /**
   * The kernel aborts the FUSE connection when a request takes longer than this, so that a stopped
   * server does not block processes that use the mount. Well above the time that a change may wait
   * for the cluster.
   */
  requestTimeoutMs: 45_000,
  /** What the field of the INIT answer holds, in seconds (linux/fuse.h). */
  mostRequestTimeoutSeconds: FUSE_TIMEOUT_SECONDS,
  /** The same for the option, in whole hours: 18. */
  mostRequestTimeoutMs: Math.floor(FUSE_TIMEOUT_SECONDS / 3600) * 3_600_000,
} as const;

/** The data of pmxcfs (src/pmxcfs), bounded as in the C server unless noted. */
export const CfsLimits = {
  /** One file (memdb.h MEMDB_MAX_FILE_SIZE). */
  fileBytes: MiB,
  /** All files together (memdb.h MEMDB_MAX_FSSIZE). */
  treeBytes: 128 * MiB,
  /** Files and directories (memdb.h MEMDB_MAX_INODES). */
  treeInodes: 256 * KiB,
  /** Content of one row when config.db is loaded; no message can carry a larger one. */
  loadedFileBytes: 16 * MiB,
  /** Bytes of all rows when config.db is loaded; the C server has no bound. */
  loadedBytes: 512 * MiB,
  /** Rows when config.db is loaded; the C server has no bound. */
  loadedRows: 1_048_576,
  /** One status value (status.h CFS_MAX_STATUS_SIZE); the count includes a final NUL. */
  statusBytes: 32 * KiB,
  /** Status keys of one node; the C server has no bound. */
  statusKeys: 4_096,
  /** Bytes of a fixed name field that are used; the 256th counts as NUL (docs/operations.md). */
  nameBytes: 255,
  /** An RRD value is shorter than this; its final NUL counts. */
  rrdBytes: 4_096,
  /** RRD keys; the C server has no bound. */
  rrdKeys: 65_536,
  /** RRD entries older than this are dropped from the dump. */
  rrdExpiryMs: 5 * 60 * 1000,
  /** The cluster log ring (logger.c CLOG_DEFAULT_SIZE). */
  clusterLogBytes: 128 * KiB,
  /** One entry of it (logger.c CLOG_MAX_ENTRY_SIZE). */
  clusterLogEntryBytes: 4 * KiB,
  /** Entries in the answer to a GET_CLUSTER_LOG with max 0. */
  clusterLogDefaultEntries: 50,
} as const;

/** Waiting changes (src/pmxcfs/replication). */
export const ReplicationLimits = {
  /** A change waits this long for another process's lock on config.db, then fails with EIO. */
  lockedDatabaseMs: 3_000,
  /** After a mount was taken over, changes wait this long for quorum and the group. */
  takenOverMs: 3_000,
  /** Interval of the attempts to get that lock. */
  lockedRetryMs: 5,
  /** Changes that wait at once; the kernel has about as many requests in flight. */
  waitingChanges: 1_024,
} as const;
