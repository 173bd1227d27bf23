/** Trouble of the client's own disk: its work waits for a while, and then fails by itself. It never becomes the run's. */
import { DISK_REMEDIES, DISK_TROUBLES, diskTrouble } from "../../shared/base/disk.js";
import { reasonOf } from "../../shared/base/json.js";
import type { Logger } from "../../shared/base/log.js";
import { pause } from "../outbox/retry.js";

/** Others may wait for the task: it is given up after this time. */
const LONGEST_MS = 300_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

export interface RoomOptions {
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** A monotonic clock, milliseconds. @default performance.now */
  readonly now?: () => number;
  /** @default real time */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/**
 * Does work that writes to the disk, and does it again while the disk is in trouble.
 * @throws the error of the work: any other than one of the disk at once, that one after five minutes
 */
export async function onceThereIsRoom<T>(work: () => Promise<T>, options: RoomOptions): Promise<T> {
  const { log, signal, now = () => performance.now(), sleep = pause } = options;
  let since: number | undefined;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(LONGEST_WAIT_MS, 2 * waitMs)) {
    try {
      const done = await work();
      if (since !== undefined) log.info("the task goes on", { seconds: Math.round((now() - since) / 1000) });
      return done;
    } catch (error) {
      const trouble = diskTrouble(error);
      if (trouble === undefined || now() - (since ?? now()) >= LONGEST_MS) throw error;
      if (since === undefined) {
        const what = `the task waits: this machine ${DISK_TROUBLES[trouble]}; ${DISK_REMEDIES[trouble]}`;
        log.warn(what, { reason: reasonOf(error), seconds: LONGEST_MS / 1000 });
        since = now();
      }
      await sleep(waitMs, signal);
    }
  }
}
