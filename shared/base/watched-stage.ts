/** A stage as a display knows it: how much is done, the last facts, the time left. It writes nothing. */
import { duration } from "./format.js";
import { Pace, roughly } from "./pace.js";
import type { Stage, StageInfo, StageOptions } from "./progress.js";
import { factsOf } from "./terminal.js";

/** How a stage ended. */
export type StageEnd = "done" | "stopped" | "dropped";

export interface WatchedOptions extends StageOptions {
  /** Milliseconds. */
  readonly clock: () => number;
  readonly onEnd: (stage: WatchedStage, end: StageEnd) => void;
}

/** Where work goes on, not all of it is done. */
const ALMOST = 0.99;

export class WatchedStage implements Stage {
  readonly startedMs: number;
  private count: number;
  private most = 0;
  private info: StageInfo = {};
  private ended = false;
  private readonly pace: Pace;

  constructor(
    readonly name: string,
    /** Units; 0 where unknown. */
    readonly total: number,
    private readonly options: WatchedOptions,
  ) {
    const { from = 0, clock } = options;
    this.count = from;
    this.startedMs = clock();
    this.pace = new Pace(this.share ?? 0, this.startedMs);
  }

  /** Done so far, 0 .. 0.99 until the stage has ended, and never less than before; undefined where the total is unknown. */
  get share(): number | undefined {
    if (this.total <= 0) return undefined;
    this.most = Math.max(this.most, Math.min(ALMOST, this.count / this.total));
    return this.most;
  }

  tick(n = 1, info?: StageInfo): void {
    if (this.ended) return;
    this.count += n;
    this.info = info ?? this.info;
    const { share } = this;
    if (share !== undefined) this.pace.reached(share, this.options.clock());
  }

  done(info?: StageInfo): void {
    this.info = info ?? this.info;
    this.end("done");
  }

  drop(): void {
    this.end("dropped");
  }

  /** Ends the stage where the job ends before it. Of waiting nothing is to be told. */
  stop(): void {
    this.end(this.options.paced === false ? "dropped" : "stopped");
  }

  private end(how: StageEnd): void {
    if (this.ended) return;
    this.ended = true;
    this.options.onEnd(this, how);
  }

  get elapsedMs(): number {
    return this.options.clock() - this.startedMs;
  }

  /** Facts for programs. */
  get facts(): StageInfo {
    return this.info;
  }

  /** Milliseconds until its end; undefined while they are not known. */
  get leftMs(): number | undefined {
    const { paced = true, clock } = this.options;
    return paced ? this.pace.leftMs(clock()) : undefined;
  }

  /** "round 5/32", "loss 0.81", "waiting for harbour", "about 40 s left": the less important ones last, but for the time. */
  words(): { readonly facts: readonly string[]; readonly time: string } {
    const note = this.options.note?.();
    const { leftMs, share, elapsedMs } = this;
    const time = leftMs !== undefined ? `${roughly(leftMs)} left` : "";
    return {
      facts: [...factsOf(this.info), ...(note === undefined ? [] : [note])],
      time:
        time === "" && (share === undefined || elapsedMs >= 10_000) ? `${duration(elapsedMs / 1000, 0)} so far` : time,
    };
  }

  /** The same when it has ended. */
  summary(how: StageEnd): readonly string[] {
    return [...factsOf(this.info), how === "done" ? duration(this.elapsedMs / 1000, 0) : "stopped"];
  }
}
