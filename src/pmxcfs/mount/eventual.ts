/** Going on with a result that is there now or comes later, without waiting when it is there. */
import type { Eventual } from "../../fuse/file-system.ts";

async function whenKept<T, R>(promise: Promise<T>, next: (value: T) => Eventual<R>): Promise<R> {
  return await next(await promise);
}

/** `next` of the result: at once, or when the promise is kept. */
export function whenDone<T, R>(result: Eventual<T>, next: (value: T) => Eventual<R>): Eventual<R> {
  return result instanceof Promise ? whenKept(result, next) : next(result);
}
