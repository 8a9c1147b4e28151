/** Continues with a result that may be a promise; synchronously when it is not. */
import type { Eventual } from "../../fuse/file-system.ts";

async function whenFulfilled<T, R>(
  promise: Promise<T>,
  next: (value: T) => Eventual<R>,
): Promise<R> {
  return await next(await promise);
}

/** `next` of the result: at once, or when the promise is fulfilled. */
export function whenDone<T, R>(result: Eventual<T>, next: (value: T) => Eventual<R>): Eventual<R> {
  return result instanceof Promise ? whenFulfilled(result, next) : next(result);
}
