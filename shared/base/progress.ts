/**
 * Shows the progress of a job on stderr: bars on a terminal, otherwise a line at intervals, nothing when quiet. It knows stages and
 * counts alone. Libraries take a `Progress` and never write themselves.
 */
import type { Writable } from "node:stream";
import cliProgress from "cli-progress";

/** Facts shown beside a count: `{loss: 1.25}`. */
export type StageInfo = Readonly<Record<string, string | number>>;

export interface Stage {
  /** @param n units done since the last tick. @default 1 */
  tick(n?: number, info?: StageInfo): void;
  /** Ends the stage, whatever the number of units done. Further calls do nothing. */
  done(info?: StageInfo): void;
}

export interface Progress {
  /**
   * Opens a stage; several may be open at a time.
   * @param total units of the whole stage; 0 where the number is unknown
   */
  stage(name: string, total: number): Stage;
  /** Ends all stages and restores the terminal. */
  close(): void;
}

const silentStage: Stage = { tick() {}, done() {} };

/** Shows nothing. */
export const silentProgress: Progress = { stage: () => silentStage, close() {} };

export interface ProgressOptions {
  /** @default process.stderr */
  stream?: Writable & { readonly isTTY?: boolean };
  /** @default false */
  quiet?: boolean;
  /** Whether to draw bars. @default whether the stream is a terminal that can move its cursor */
  terminal?: boolean;
  /** Shortest time between two lines of a stage. @default 10_000 */
  intervalMs?: number;
  /** Milliseconds. @default Date.now */
  clock?: () => number;
}

function infoText(info: StageInfo | undefined): string {
  return Object.entries(info ?? {})
    .map(([key, value]) => ` ${key}=${typeof value === "number" ? Number(value.toPrecision(4)) : value}`)
    .join("");
}

function secondsText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s`;
}

function countText(done: number, total: number): string {
  return total > 0 ? `${done}/${total}` : `${done}`;
}

/** The common part of both displays: counts, the last facts, the duration. */
abstract class CountedStage implements Stage {
  protected count = 0;
  protected info: StageInfo | undefined;
  private ended = false;
  private readonly startedMs: number;

  constructor(
    protected readonly name: string,
    protected readonly total: number,
    protected readonly clock: () => number,
  ) {
    this.startedMs = clock();
  }

  tick(n = 1, info?: StageInfo): void {
    if (this.ended) return;
    this.count += n;
    this.info = info ?? this.info;
    this.show();
  }

  done(info?: StageInfo): void {
    if (this.ended) return;
    this.ended = true;
    this.info = info ?? this.info;
    const took = secondsText(this.clock() - this.startedMs);
    this.finish(`${this.name}: ${countText(this.count, this.total)}${infoText(this.info)} (${took})`);
  }

  protected abstract show(): void;
  protected abstract finish(summary: string): void;
}

class LineStage extends CountedStage {
  private shownMs: number;

  constructor(
    name: string,
    total: number,
    clock: () => number,
    private readonly write: (line: string) => void,
    private readonly intervalMs: number,
  ) {
    super(name, total, clock);
    this.shownMs = clock();
  }

  protected override show(): void {
    const now = this.clock();
    if (now - this.shownMs < this.intervalMs) return;
    this.shownMs = now;
    this.write(`${this.name}: ${countText(this.count, this.total)}${infoText(this.info)}`);
  }

  protected override finish(summary: string): void {
    this.write(summary);
  }
}

class BarStage extends CountedStage {
  private readonly bar: cliProgress.SingleBar;

  constructor(
    name: string,
    total: number,
    clock: () => number,
    private readonly bars: cliProgress.MultiBar,
  ) {
    super(name, total, clock);
    this.bar = bars.create(Math.max(total, 1), 0, { name, facts: "" });
  }

  protected override show(): void {
    this.bar.update(Math.min(this.count, Math.max(this.total, 1)), { facts: infoText(this.info) });
  }

  /** A finished bar becomes a line above the others, because a run has more stages than a terminal has rows. */
  protected override finish(summary: string): void {
    this.bars.remove(this.bar);
    this.bars.log(`${summary}\n`);
    this.bars.update();
  }
}

export function createProgress(options: ProgressOptions = {}): Progress {
  const { stream = process.stderr, quiet = false, intervalMs = 10_000, clock = Date.now } = options;
  const { terminal = stream.isTTY === true && process.env.TERM !== "dumb" } = options;
  if (quiet) return silentProgress;
  const open = new Set<Stage>();
  let bars: cliProgress.MultiBar | undefined;
  const track = (stage: CountedStage): Stage => {
    const tracked: Stage = {
      tick: (n, info) => stage.tick(n, info),
      done(info) {
        open.delete(tracked);
        stage.done(info);
      },
    };
    open.add(tracked);
    return tracked;
  };
  const write = (line: string) => void stream.write(`${line}\n`);
  return {
    stage(name, total) {
      if (!terminal) return track(new LineStage(name, total, clock, write, intervalMs));
      bars ??= new cliProgress.MultiBar(
        {
          format: "{name} [{bar}] {value}/{total}{facts} {eta_formatted}",
          // Before it can estimate, cli-progress gives a word in place of seconds.
          formatTime: (seconds: unknown) => (Number.isFinite(seconds) ? secondsText(1000 * (seconds as number)) : ""),
          stream,
          hideCursor: true,
          gracefulExit: false,
        },
        cliProgress.Presets.legacy,
      );
      return track(new BarStage(name, total, clock, bars));
    },
    close() {
      for (const stage of [...open]) stage.done();
      bars?.stop();
      bars = undefined;
    },
  };
}
