/** Time that passes only when a test lets it: sleeps end in the order of their times, and of their starts where times are equal. */

interface Waiting {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  /** Whether time does not pass for this sleep alone: a periodic check of the clock. */
  readonly background: boolean;
}

export class VirtualTime {
  private nowMs = 0;
  private made = 0;
  private waiting: Waiting[] = [];
  private noticed: (() => void) | undefined;

  /** Milliseconds since the clock was made. */
  readonly now = (): number => this.nowMs;

  /** Resolves once `ms` have passed. */
  sleep(ms: number): Promise<void> {
    return new Promise((run) => {
      this.add(ms, run, false);
      this.noticed?.();
    });
  }

  /** Calls `look` every `periodMs` until the returned function is called; time does not pass for it alone. */
  readonly every = (look: () => void, periodMs: number): (() => void) => {
    let stopped = false;
    const again = (): void => {
      if (stopped) return;
      look();
      this.add(periodMs, again, true);
    };
    this.add(periodMs, again, true);
    return () => {
      stopped = true;
    };
  };

  /** Lets time pass to the end of the first sleep. Without one, waits for one to begin. */
  async pass(): Promise<void> {
    if (!this.waiting.some(({ background }) => !background)) {
      await new Promise<void>((resolve) => {
        this.noticed = resolve;
      });
      this.noticed = undefined;
    }
    for (let awake = false; !awake; ) {
      const next = this.waiting.reduce((a, b) => (b.atMs < a.atMs || (b.atMs === a.atMs && b.order < a.order) ? b : a));
      this.waiting.splice(this.waiting.indexOf(next), 1);
      this.nowMs = next.atMs;
      next.run();
      awake = !next.background;
    }
  }

  private add(ms: number, run: () => void, background: boolean): void {
    this.waiting.push({ atMs: this.nowMs + ms, order: this.made++, run, background });
  }
}
