/** The event loop's turns within long computations: a coordinator has connections to answer. */
import { throwIfAborted } from "../../shared/base/errors.js";

/** Gives the event loop its turn where that is due, and throws where the work was called off. */
export type EventLoopYield = () => Promise<void> | undefined;

/** Far below what a heartbeat waits; a turn itself costs microseconds. */
const LONGEST_STRETCH_MS = 20;

/** A turn for one computation. Ask it after every few milliseconds of work: `await yieldToEventLoop()`. */
export function eventLoopYield(signal?: AbortSignal): EventLoopYield {
  let yielded = performance.now();
  return () => {
    if (performance.now() - yielded <= LONGEST_STRETCH_MS) return undefined;
    return new Promise<void>((resume) => setImmediate(resume)).then(() => {
      throwIfAborted(signal);
      yielded = performance.now();
    });
  };
}
