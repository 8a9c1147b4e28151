/** A connection as the poller sees it, without rings and without a client. */
import { PollLimits } from "../../src/base/limits.ts";
import { RequestGapPredictor } from "../../src/ipc/scheduling/request-gap.ts";
import type { Polled } from "../../src/ipc/scheduling/ring-poller.ts";

/** An idle connection with requests; its semaphore is at `semaphoreAddress`. */
export function idleConnection(semaphoreAddress: number): Polled {
  return {
    semaphoreAddress,
    notifyFd: -1,
    predictor: new RequestGapPredictor(PollLimits),
    responses: {
      hasWoken: false,
      semaphoreAddress: 0,
      isLarge: false,
      prepare() {},
      forget() {},
    },
    answeredNs: 0,
    caller: { pid: 0 },
    ended: false,
    underWay: false,
    hasRequests: true,
    setQuiet() {},
    recordLatency() {},
  };
}
