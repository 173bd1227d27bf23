/** What the command line hands to a long-running job besides its options. */
import type { Logger } from "./log.js";
import type { Progress } from "./progress.js";

export interface JobContext {
  readonly log: Logger;
  readonly progress: Progress;
  /** Aborted by Ctrl-C: the job stops soon, leaves its state fit to resume, and throws `cancelled`. */
  readonly signal: AbortSignal;
}
