/** Yields to the event loop within long computations: a coordinator has connections to answer. */
import { throwIfAborted } from "../../shared/base/errors.js";

/** Yields to the event loop where that is due. Rejects with `cancelled` where the signal is aborted. */
export type EventLoopYield = () => Promise<void> | undefined;

/** Longest time between two yields: far below the interval of heartbeats. A yield itself costs microseconds. */
const LONGEST_BLOCK_MS = 20;

/** The yield of one computation, to be called after every few milliseconds of work: `await yieldToEventLoop()`. */
export function eventLoopYield(signal?: AbortSignal): EventLoopYield {
  let yielded = performance.now();
  return () => {
    if (performance.now() - yielded <= LONGEST_BLOCK_MS) return undefined;
    return new Promise<void>((resume) => setImmediate(resume)).then(() => {
      throwIfAborted(signal);
      yielded = performance.now();
    });
  };
}
