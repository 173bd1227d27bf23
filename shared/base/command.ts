/** The context of a long-running job, besides its options. */
import type { Logger } from "./log.js";
import type { Progress } from "./progress.js";

export interface JobContext {
  readonly log: Logger;
  readonly progress: Progress;
  /** Aborted by Ctrl-C: the job then stops, keeps its state so that it can be resumed, and throws `cancelled`. */
  readonly signal: AbortSignal;
}
