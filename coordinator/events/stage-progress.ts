/** The stages of a run as progress on a display, from the event stream. It changes nothing. */
import type { Progress, Stage } from "../../shared/base/progress.js";
import type { EventInfo, LoggedEvent, RunEventListener } from "./events.js";

interface FollowedStage {
  readonly total: number;
  done: number;
  info: EventInfo | undefined;
  shown?: { readonly stage: Stage; done: number };
}

export interface StageProgressOptions {
  /** Names the clients that a stage waits for, where the others have nothing to do. @default false */
  readonly names?: boolean;
  /** Milliseconds. @default Date.now */
  readonly clock?: () => number;
}

/**
 * Shows the stages of a run. Stages that ended before the subscription are not shown again, and the one under way goes on from where
 * it was.
 */
export function progressReader(
  progress: Progress,
  { names = false, clock }: StageProgressOptions = {},
): RunEventListener {
  const stages = new Map<string, FollowedStage>();
  const waiting = new WaitedFor(clock);
  const show = (name: string, entry: FollowedStage): void => {
    const { total, done, info } = entry;
    entry.shown ??= {
      stage: progress.stage(name, total, { from: done, ...(names ? { note: () => waiting.note() } : {}) }),
      done,
    };
    entry.shown.stage.tick(done - entry.shown.done, info);
    entry.shown.done = done;
  };
  return (event, live) => {
    waiting.add(event);
    if (event.type === "stage-began") {
      stages.set(event.stage, { total: event.total, done: 0, info: undefined });
    } else if (event.type === "stage-advanced") {
      const entry = stages.get(event.stage);
      // Units of a stage may be stored in any order.
      if (entry !== undefined && event.done >= entry.done) {
        entry.done = event.done;
        entry.info = event.info;
      }
    } else if (event.type === "stage-ended") {
      stages.get(event.stage)?.shown?.stage.done(event.info);
      stages.delete(event.stage);
    }
    // What a former process began is shown as soon as this one does something.
    if (live) for (const [name, entry] of stages) show(name, entry);
  };
}

/** Names shown at most. */
const MOST_NAMES = 3;
/** Until then the others are only a little faster. */
const LATE_MS = 3_000;

/** Who has a task while others have none any more. */
class WaitedFor {
  private clients = 0;
  private readonly tasks = new Map<string, Set<string>>();
  private lastAnswer = 0;

  constructor(private readonly clock: () => number = Date.now) {}

  add(event: LoggedEvent): void {
    if (event.type === "run-started") this.clients = event.clients.length;
    else if (event.type === "task-given") {
      const own = this.tasks.get(event.client) ?? new Set();
      this.tasks.set(event.client, own.add(event.task));
    } else if (event.type === "task-done" || event.type === "task-failed") {
      const own = this.tasks.get(event.client);
      own?.delete(event.task);
      if (own?.size === 0) this.tasks.delete(event.client);
      this.lastAnswer = this.clock();
    }
  }

  note(): string | undefined {
    const names = [...this.tasks.keys()];
    const few = names.length > 0 && names.length <= MOST_NAMES && names.length < this.clients;
    return few && this.clock() - this.lastAnswer >= LATE_MS ? `waiting for ${names.join(", ")}` : undefined;
  }
}

/** Shows how many of the clients that a run needs have enrolled, until it begins. */
export class EnrolmentProgress {
  private readonly enrolled = new Set<string>();
  private started = false;
  private stage: Stage | undefined;

  /** @param least clients that the run begins with */
  constructor(
    private readonly progress: Progress,
    private readonly least: number,
  ) {}

  readonly listen: RunEventListener = (event) => {
    if (event.type === "run-started") {
      this.started = true;
      this.stage?.drop();
    } else if (event.type === "client-enrolled") {
      const before = this.enrolled.size;
      this.enrolled.add(event.client);
      this.stage?.tick(this.enrolled.size - before, this.info);
    }
  };

  /** To be called once the stored events were heard. */
  begin(): void {
    if (this.started) return;
    this.stage = this.progress.stage("wait for clients", this.least, { from: this.enrolled.size, paced: false });
    this.stage.tick(0, this.info);
  }

  private get info(): EventInfo {
    return { enrolled: `${this.enrolled.size}/${this.least}` };
  }
}
