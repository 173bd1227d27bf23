/** The tasks that callers of this process wait for, and those that all their callers gave up. It knows nothing of clients or storage. */
import { KindredError } from "../../shared/base/errors.js";
import type { TaskSpec } from "../../tasks/kinds.js";
import type { TaskOutcome } from "../storage/types.js";
import type { RunTaskOptions } from "./pool.js";

export interface RunningTask {
  readonly key: string;
  readonly client: string;
  readonly task: TaskSpec;
}

interface Entry extends RunningTask {
  readonly outcome: Promise<TaskOutcome>;
  resolve(outcome: TaskOutcome): void;
  reject(error: unknown): void;
  /** Callers that still wait for it. */
  holders: number;
  /** Highest that was reported, in whole percents. */
  percent: number;
  readonly onProgress: Set<(fraction: number) => void>;
}

export class RunningTasks {
  private readonly entries = new Map<string, Entry>();
  private readonly withdrawn = new Set<string>();

  get(id: string): RunningTask | undefined {
    return this.entries.get(id);
  }

  /** Whether all its callers gave up the task. */
  isWithdrawn(id: string): boolean {
    return this.withdrawn.has(id);
  }

  /** Adds a task that no caller waits for yet. */
  add(id: string, { key, client, task }: RunningTask): void {
    let resolve: (outcome: TaskOutcome) => void = () => undefined;
    let reject: (error: unknown) => void = () => undefined;
    const outcome = new Promise<TaskOutcome>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    outcome.catch(() => undefined); // the rejection of a withdrawn task has no listener
    this.entries.set(id, {
      key,
      client,
      task,
      outcome,
      resolve,
      reject,
      holders: 0,
      percent: -1,
      onProgress: new Set(),
    });
    this.withdrawn.delete(id);
  }

  /**
   * Waits for a task that was added. Without other callers, the abort of the signal withdraws it.
   * @throws {KindredError} `cancelled` when the signal aborts or the coordinator closes
   */
  async wait(id: string, { signal, onProgress }: RunTaskOptions, onWithdrawn: () => void): Promise<TaskOutcome> {
    const entry = this.entries.get(id)!;
    if (onProgress) entry.onProgress.add(onProgress);
    entry.holders++;
    let withdraw: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      withdraw = () => reject(withdrawnError(entry));
      signal?.addEventListener("abort", withdraw, { once: true });
    });
    try {
      return await Promise.race([entry.outcome, aborted]);
    } finally {
      if (withdraw) signal?.removeEventListener("abort", withdraw);
      if (onProgress) entry.onProgress.delete(onProgress);
      if (--entry.holders === 0 && this.entries.get(id) === entry) {
        this.entries.delete(id);
        this.withdrawn.add(id);
        onWithdrawn();
      }
    }
  }

  /**
   * Passes a report of progress on.
   * @returns the whole percents where they grew: events are stored, and a client may report as often and in as small steps as it likes
   */
  progress(id: string, fraction: number): number | undefined {
    const entry = this.entries.get(id);
    if (entry === undefined) return undefined;
    for (const listener of entry.onProgress) listener(fraction);
    const percent = Math.floor(fraction * 100);
    if (percent <= entry.percent) return undefined;
    entry.percent = percent;
    return percent;
  }

  resolve(id: string, outcome: TaskOutcome): void {
    const entry = this.entries.get(id);
    this.entries.delete(id);
    entry?.resolve(outcome);
  }

  /** @param task rejects only this one; undefined: whichever has the id */
  reject(id: string, error: unknown, task?: RunningTask): void {
    const entry = this.entries.get(id);
    if (task !== undefined && entry !== task) return;
    this.entries.delete(id);
    entry?.reject(error);
  }

  rejectAll(error: unknown): void {
    for (const entry of this.entries.values()) entry.reject(error);
    this.entries.clear();
  }
}

export function withdrawnError({ key, client }: Pick<RunningTask, "key" | "client">): KindredError {
  return new KindredError("cancelled", `task ${key} of client ${client} was withdrawn`);
}
