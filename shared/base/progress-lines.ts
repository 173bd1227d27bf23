/** Progress as lines of a log: one per stage that ended, and now and then one per stage under way. */
import type { Progress } from "./progress.js";
import { type StageEnd, WatchedStage } from "./watched-stage.js";

export interface ProgressLinesOptions {
  /** Takes a line: the stage's name, what there is to say of it in words, and the same as fields. */
  readonly say: (name: string, words: string, fields: object) => void;
  /** Milliseconds. @default Date.now */
  readonly clock?: () => number;
  /** Calls `look` every `periodMs` until the returned function is called. @default a timer that does not keep the process alive */
  readonly every?: (look: () => void, periodMs: number) => () => void;
}

const LOOK_MS = 1_000;
/** Time between two lines of a stage: a share of the time that it has taken so far. */
const SHARE_OF_ELAPSED = 1 / 10;
const [SHORTEST_MS, LONGEST_MS] = [10_000, 600_000];

function timer(look: () => void, periodMs: number): () => void {
  const interval = setInterval(look, periodMs);
  interval.unref();
  return () => clearInterval(interval);
}

const seconds = (ms: number): number => Math.round(ms / 1000);

export function createProgressLines({ say, clock = Date.now, every = timer }: ProgressLinesOptions): Progress {
  /** When each open stage was last spoken of. */
  const open = new Map<WatchedStage, number>();
  const percent = ({ share }: WatchedStage) => (share === undefined ? {} : { percent: Math.floor(100 * share) });
  const look = (): void => {
    const now = clock();
    for (const [stage, saidMs] of open) {
      const pause = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, SHARE_OF_ELAPSED * stage.elapsedMs));
      if (now - saidMs < pause) continue;
      open.set(stage, now);
      const { facts, time } = stage.words();
      const done = stage.share === undefined ? [] : [`${Math.floor(100 * stage.share)} %`];
      const { leftMs, elapsedMs } = stage;
      say(stage.name, [...done, ...facts, time].filter((word) => word !== "").join(", "), {
        state: "running",
        ...percent(stage),
        ...stage.facts,
        seconds: seconds(elapsedMs),
        ...(leftMs === undefined ? {} : { secondsLeft: seconds(leftMs) }),
      });
    }
    if (open.size === 0) rest();
  };
  let stopLooking: (() => void) | undefined;
  const rest = (): void => {
    stopLooking?.();
    stopLooking = undefined;
  };
  const onEnd = (stage: WatchedStage, how: StageEnd): void => {
    open.delete(stage);
    if (how === "dropped") return;
    const at = how === "done" || stage.share === undefined ? [] : [`${Math.floor(100 * stage.share)} %`];
    say(stage.name, [...at, ...stage.summary(how)].join(", "), {
      state: how,
      ...(how === "done" ? {} : percent(stage)),
      ...stage.facts,
      seconds: seconds(stage.elapsedMs),
    });
  };
  return {
    stage(name, total, options = {}) {
      const stage = new WatchedStage(name, total, { ...options, clock, onEnd });
      open.set(stage, clock());
      stopLooking ??= every(look, LOOK_MS);
      return stage;
    },
    close() {
      for (const stage of [...open.keys()]) stage.stop();
      rest();
    },
  };
}
