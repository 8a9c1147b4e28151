/** Slices of asynchronous work (base/turns.ts) that end after each item. */
import { TimeSlices } from "../../src/base/turns.ts";

/**
 * Until it is disposed, other work runs after every item: among it `between`, which gets the number
 * of items so far.
 */
export function shortSlices(between: (count: number) => void = () => {}): Disposable {
  const own = Object.getOwnPropertyDescriptor(TimeSlices.prototype, "isOver") ?? {};
  let count = 0;
  Object.defineProperty(TimeSlices.prototype, "isOver", {
    configurable: true,
    get() {
      between(++count);
      return true;
    },
  });
  return {
    [Symbol.dispose]() {
      Object.defineProperty(TimeSlices.prototype, "isOver", own);
    },
  };
}
