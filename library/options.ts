/** What every call of the library may be given beside its own options. */
import { setMaxListeners } from "node:events";
import type { JobContext } from "../shared/base/command.js";
import { type Logger, silentLog } from "../shared/base/log.js";
import { type Progress, silentProgress } from "../shared/base/progress.js";

export interface CallOptions {
  /** @default writes nothing */
  readonly log?: Logger;
  /** Told of stages and their counts. @default nothing */
  readonly progress?: Progress;
  /** Stops the work, which then rejects with `cancelled`. What has a state or a folder can be resumed. */
  readonly signal?: AbortSignal;
}

/** Options with their defaults. */
export function contextOf({ log = silentLog, progress = silentProgress, signal }: CallOptions): JobContext {
  return { log, progress, signal: signal ?? neverAborted() };
}

function neverAborted(): AbortSignal {
  const { signal } = new AbortController();
  setMaxListeners(0, signal); // every task under way listens
  return signal;
}
