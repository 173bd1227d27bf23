/**
 * What a job says of its progress: stages with counts and facts. Libraries take a `Progress` and never write themselves. bars.ts shows
 * it on a terminal, progress-lines.ts as lines of a log.
 */

/** Facts shown beside a stage, in their order: `{round: "5/32", loss: 1.25}` is "round 5/32, loss 1.25". */
export type StageInfo = Readonly<Record<string, string | number>>;

export interface Stage {
  /**
   * @param n units done since the last tick, also parts of one. @default 1
   * @param info takes the place of the facts so far
   */
  tick(n?: number, info?: StageInfo): void;
  /** Ends the stage, whatever the number of units done. Further calls do nothing. */
  done(info?: StageInfo): void;
  /** Ends the stage without a word: what it waited for is there, or no longer matters. */
  drop(): void;
}

export interface StageOptions {
  /** Units done by an earlier process. @default 0 */
  readonly from?: number;
  /** False where the pace tells nothing of the time left: people are waited for. @default true */
  readonly paced?: boolean;
  /** Asked each time the stage is shown: what it waits for. */
  readonly note?: () => string | undefined;
}

export interface Progress {
  /**
   * Opens a stage; several may be open at a time.
   * @param total units of the whole stage; 0 where the number is unknown
   */
  stage(name: string, total: number, options?: StageOptions): Stage;
  /** Ends all stages and restores the terminal. */
  close(): void;
}

const silentStage: Stage = { tick() {}, done() {}, drop() {} };

/** Shows nothing. */
export const silentProgress: Progress = { stage: () => silentStage, close() {} };

/** Tells a stage how much of one of its units is done. @returns takes the share, 0 .. 1, which does not fall */
export function unitOf(stage: Stage): (share: number) => void {
  let told = 0;
  return (share) => {
    stage.tick(share - told);
    told = share;
  };
}
