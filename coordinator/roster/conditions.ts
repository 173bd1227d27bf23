/** Waiting until a condition holds. It knows nothing of what the conditions are about. */
import { KindredError } from "../../shared/base/errors.js";

export class Conditions {
  private readonly checks = new Set<() => void>();
  private closed = false;

  /** Checks all conditions again. */
  check(): void {
    for (const check of [...this.checks]) check();
  }

  /** Ends all waits with `cancelled`. */
  close(): void {
    this.closed = true;
    this.check();
  }

  /** Resolves once the condition holds at a check. @throws {KindredError} `cancelled` when the signal aborts or this is closed */
  until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: KindredError) => {
        this.checks.delete(check);
        signal?.removeEventListener("abort", stop);
        if (error) reject(error);
        else resolve();
      };
      const stop = () => end(new KindredError("cancelled", "stopped waiting for clients"));
      const check = () => {
        if (holds()) end();
        else if (this.closed || signal?.aborted) stop();
      };
      this.checks.add(check);
      signal?.addEventListener("abort", stop, { once: true });
      check();
    });
  }
}
