/** The time that a stage still takes, from its own pace. It knows nothing of what the stage does. */

interface Sample {
  readonly atMs: number;
  readonly share: number;
}

/** A pace is known once so much of the stage was seen, over so long. */
const LEAST_SHARE = 0.02;
const LEAST_MS = 2_000;
const MOST_SAMPLES = 256;
/** After so many usual pauses without progress, the stage is taken to be slower than it was. */
const LATE = 3;

export class Pace {
  private samples: Sample[];
  private last: Sample;

  /** @param share of the stage that was done before it was watched, 0 .. 1 */
  constructor(share: number, nowMs: number) {
    this.last = { share, atMs: nowMs };
    this.samples = [this.last];
  }

  /** @param share done so far, 0 .. 1; what is not more than before is no progress */
  reached(share: number, nowMs: number): void {
    if (share <= this.last.share) return;
    this.last = { share, atMs: nowMs };
    this.samples.push(this.last);
    if (this.samples.length > MOST_SAMPLES) this.samples = this.samples.filter((_, at) => at % 2 === 0);
  }

  /**
   * Milliseconds until the end; undefined while the pace is not known. The pace is that of the later half of the time so far: the
   * first step of a training takes longest, since its graphs are compiled.
   */
  leftMs(nowMs: number): number | undefined {
    const [first] = this.samples as [Sample];
    const { last } = this;
    if (last.share - first.share < LEAST_SHARE || last.atMs - first.atMs < LEAST_MS) return undefined;
    const middle = (first.atMs + last.atMs) / 2;
    const from = this.samples.findLast(({ atMs }) => atMs <= middle) ?? first;
    const since = nowMs - last.atMs;
    const usual = (last.atMs - first.atMs) / (this.samples.length - 1);
    const took = last.atMs - from.atMs + (since > LATE * usual ? since : 0);
    const left = ((1 - last.share) * took) / (last.share - from.share);
    return Math.max(0, since > LATE * usual ? left : left - Math.min(since, usual));
  }
}

const whole = (value: number, step: number): number => Math.max(step, Math.round(value / step) * step);

/** "about 40 s": as exact as such a number can be. */
export function roughly(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 57.5) return `about ${whole(seconds, 5)} s`;
  const minutes = seconds / 60;
  if (minutes < 10) return `about ${whole(minutes, 1)} min`;
  if (minutes < 90) return `about ${whole(minutes, 5)} min`;
  return `about ${whole(minutes / 60, 1)} h`;
}
