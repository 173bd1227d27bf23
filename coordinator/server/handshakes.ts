/** Tells of handshakes that failed, in few lines: a port scanner makes thousands an hour. */
import type { Logger } from "../../shared/base/log.js";

/** Lines within a window. */
const MOST_LINES = 10;
const WINDOW_MS = 600_000;

export class HandshakeLog {
  private since = Number.NEGATIVE_INFINITY;
  private lines = 0;
  private untold = 0;
  private timer: NodeJS.Timeout | undefined;

  /** @param now a monotonic clock, milliseconds */
  constructor(
    private readonly log: Logger,
    private readonly now: () => number = () => performance.now(),
  ) {}

  note(from: string | undefined, reason: string): void {
    if (this.now() - this.since >= WINDOW_MS) this.begin();
    if (this.lines >= MOST_LINES) {
      this.untold++;
      // The last ones of a window are told even where none follows.
      this.timer ??= setTimeout(() => this.begin(), WINDOW_MS - (this.now() - this.since)).unref();
      return;
    }
    this.lines++;
    this.log.warn("a handshake failed", { from: from ?? "unknown", reason });
  }

  /** Tells how many were not told. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.untold > 0) this.log.warn("further handshakes failed", { count: this.untold });
    this.untold = 0;
  }

  private begin(): void {
    this.close();
    this.since = this.now();
    this.lines = 0;
  }
}
