/** When to try again: jittered exponential waits, for calls that are safe to repeat. */
import { setTimeout as sleep } from "node:timers/promises";
import { asKindredError, KindredError } from "../../shared/base/errors.js";
import { isRetryable } from "../../shared/wire/errors.js";

const FIRST_WAIT_MS = 100;
/** Long enough not to burden a coordinator that is coming back, short enough that nobody notices. */
const LONGEST_WAIT_MS = 3_000;
/** Checksums that fail so often in a row are no accident of the network. */
const CHECKSUM_ATTEMPTS = 3;

/** Wait before attempt `attempt` + 1, milliseconds. @param attempt failures so far, from 1. @param random in [0, 1) */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));
  return ceiling * (0.5 + random / 2);
}

export interface RetryOptions {
  readonly signal: AbortSignal;
  /** Jitter, in [0, 1). Not an experiment's randomness: it spreads clients in time. */
  readonly random: () => number;
  /** Told of every failure that will be tried again. */
  readonly onRetry?: (error: KindredError, attempt: number, waitMs: number) => void;
  /** Looks for what is wrong before the call is made again. What it throws ends the tries. */
  readonly examine?: (error: KindredError, attempt: number) => Promise<void>;
}

/** Waits. @throws {KindredError} `cancelled` */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal, ref: true });
  } catch (error) {
    throw new KindredError("cancelled", "stopped", {}, error);
  }
}

/**
 * Repeats `call` while its error is worth it: for ever where the coordinator is away, a few times for wrong checksums.
 * @param call may report progress by calling its argument: waits start from the shortest again
 */
export async function retrying<T>(call: (moved: () => void) => Promise<T>, options: RetryOptions): Promise<T> {
  let attempt = 0;
  let checksums = 0;
  for (;;) {
    try {
      return await call(() => {
        attempt = 0;
      });
    } catch (thrown) {
      const error = asKindredError(thrown);
      if (options.signal.aborted) throw new KindredError("cancelled", "stopped", {}, error);
      if (!isRetryable(error)) throw error;
      if (error.code === "checksum_mismatch" && ++checksums >= CHECKSUM_ATTEMPTS) throw error;
      attempt++;
      const waitMs = backoffMs(attempt, options.random());
      options.onRetry?.(error, attempt, waitMs);
      await options.examine?.(error, attempt);
      await pause(waitMs, options.signal);
    }
  }
}
