/**
 * The lines between the runner and its client processes: one line of words in, one line of JSON
 * out. native/compat-client.c and client-child.ts implement it.
 *
 *   connect NAME SIZE                      res
 *   send ID BODY CLAIMED                   res   (CLAIMED 0: the true size)
 *   receive TIMEOUT_MS                     res, id, size, error, length, sum, body up to 1 MiB
 *   event TIMEOUT_MS                       the same
 *   pipeline COUNT ID TIMEOUT_MS           res, sent, received, misordered (bodies: counters)
 *   repeat COUNT ID BODY TIMEOUT_MS        res, received, unread (wake-up bytes)
 *   fc LEVEL, alive, disconnect, fork NAME SIZE ID          res
 */

/** The answer to a line; `res` is the result of the libqb call: >= 0 or -errno. */
export interface Answer {
  readonly res: number;
  readonly id?: number;
  /** The size in the header. */
  readonly size?: number;
  readonly error?: number;
  /** Size of the body, its checksum, and up to 1 MiB the body in hex. */
  readonly length?: number;
  readonly sum?: number;
  readonly body?: string;
  readonly sent?: number;
  readonly received?: number;
  readonly misordered?: number;
  readonly errors?: number;
  readonly unread?: number;
}

/** A client library as these lines use it: one operation per verb, each returns its answer. */
export interface Driver {
  connect(name: string, size: number): Answer | Promise<Answer>;
  send(id: number, body: Buffer, claimed: number): Answer;
  receive(timeoutMs: number): Answer | Promise<Answer>;
  event(timeoutMs: number): Answer | Promise<Answer>;
  pipeline(count: number, id: number, timeoutMs: number): Answer | Promise<Answer>;
  repeat(count: number, id: number, body: Buffer, timeoutMs: number): Answer | Promise<Answer>;
  flowControlMax(level: number): Answer;
  alive(): Answer;
  disconnect(): Answer;
}

/** Size of a pipelined request's body: a counter, by which the order of the answers is checked. */
export const COUNTER_BYTES = 4;

/** Environment variable of a child: the role it has, such as the kind of client. */
export const CHILD_VARIABLE = "PMXCFS_IPC_COMPAT_CHILD";
