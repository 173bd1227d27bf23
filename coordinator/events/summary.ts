/**
 * The present condition of a run, from its stream of events: a fold over all events, in their order. The stream can be that of a run
 * under way, so each number is "so far". It reads nothing else.
 */
import type { ErrorCode } from "../../shared/base/errors.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { RowCounts } from "../../shared/wire/types.js";
import type { EventInfo, LoggedEvent } from "./events.js";

export interface ClientSummary {
  readonly name: string;
  /** Of its last enrolment; null where the stream has none. */
  readonly rows: RowCounts | null;
  /** False after it left. */
  readonly enrolled: boolean;
  /** Whether the run serves it; false for a client that enrolled and was not taken, and for all until the run has started. */
  readonly inRun: boolean;
}

export interface StageSummary {
  readonly stage: string;
  readonly done: number;
  /** 0 where unknown. */
  readonly total: number;
  /** Of the last advance that was told: its round, loss and the like. */
  readonly info: EventInfo;
}

export interface TrainingSummary {
  readonly training: string;
  /** Of the last round that closed, from 1. */
  readonly round: number;
  readonly of: number;
  /** The last one known, nats per scored token; null where no round validated. */
  readonly validationLoss: number | null;
}

export interface ScoreSummary {
  readonly method: MethodName;
  readonly clients: number;
  /** Mean over these clients, nats per scored token. */
  readonly loss: number;
  /** Mean over the clients that have one; null where none has. */
  readonly accuracy: number | null;
}

export interface RunSummary {
  /**
   * - waiting: for clients
   * - running: by its events; a coordinator that was killed leaves the same events
   * - stopped: without a result; it can be resumed
   */
  readonly status: "waiting" | "running" | "stopped" | "finished";
  /** Position of the last event; 0 where there is none. */
  readonly events: number;
  /** Milliseconds since 1970; null before the first event. */
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  /** The base model as the user named it. */
  readonly model: string | null;
  readonly clients: readonly ClientSummary[];
  /** Stages under way. */
  readonly stages: readonly StageSummary[];
  readonly trainings: readonly TrainingSummary[];
  readonly learningRates: Readonly<Record<string, number>>;
  readonly groups: readonly (readonly string[])[] | null;
  readonly groupsReason: string | null;
  readonly cost: {
    readonly tasksDone: number;
    readonly tasksFailed: number;
    /** Bytes on the wire. */
    readonly bytesUp: number;
    readonly bytesDown: number;
    /** Of the clients. */
    readonly flops: number;
  };
  readonly scores: readonly ScoreSummary[];
  readonly faults: readonly { readonly client: string; readonly stage: string; readonly message: string }[];
  /** Since when it waits for the coordinator's own state to be mended, and why; null unless it does. */
  readonly paused: { readonly at: number; readonly message: string } | null;
  /** Waits of that kind which are over. */
  readonly pauses: { readonly count: number; readonly seconds: number };
  /** Why it stopped; null unless it is stopped. */
  readonly stopped: { readonly code: ErrorCode; readonly message: string } | null;
}

interface ScoreSums {
  clients: number;
  loss: number;
  withAccuracy: number;
  accuracy: number;
}

/** Adds events one by one, in their order. */
export class RunSummarizer {
  private started = false;
  private finished = false;
  private stopped: RunSummary["stopped"] = null;
  private paused: RunSummary["paused"] = null;
  private readonly pauses = { count: 0, seconds: 0 };
  private events = 0;
  private firstAt: number | null = null;
  private lastAt: number | null = null;
  private model: string | null = null;
  private readonly clients = new Map<string, ClientSummary>();
  private readonly stages = new Map<string, StageSummary>();
  private readonly trainings = new Map<string, TrainingSummary>();
  private readonly learningRates = new Map<string, number>();
  private groups: RunSummary["groups"] = null;
  private groupsReason: string | null = null;
  private readonly cost = { tasksDone: 0, tasksFailed: 0, bytesUp: 0, bytesDown: 0, flops: 0 };
  private readonly scores = new Map<MethodName, ScoreSums>();
  private readonly faults: RunSummary["faults"][number][] = [];

  add(event: LoggedEvent): void {
    this.events = event.seq;
    this.firstAt ??= event.at;
    this.lastAt = event.at;
    // Only a coordinator that resumed the run adds events after a stop. Clients may leave by themselves.
    if (event.type !== "client-left") this.stopped = null;
    this.apply(event);
  }

  private apply(event: LoggedEvent): void {
    switch (event.type) {
      case "run-started":
        this.started = true;
        this.model = event.model;
        for (const { name, rows } of event.clients) this.client(name, { rows, inRun: true });
        return;
      case "client-enrolled":
        this.client(event.client, { rows: event.rows, enrolled: true });
        return;
      case "client-left":
        this.client(event.client, { enrolled: false });
        return;
      case "task-done":
        this.cost.tasksDone++;
        for (const amount of ["bytesUp", "bytesDown", "flops"] as const) this.cost[amount] += event[amount];
        return;
      case "task-failed":
        this.cost.tasksFailed++;
        return;
      case "stage-began":
        this.stages.set(event.stage, { stage: event.stage, done: 0, total: event.total, info: {} });
        return;
      case "stage-advanced":
        this.advance(event.stage, event.done, event.info);
        return;
      case "stage-ended":
        this.stages.delete(event.stage);
        return;
      case "round-closed": {
        const { training, round, of, validationLoss } = event;
        const loss = validationLoss ?? this.trainings.get(training)?.validationLoss ?? null;
        this.trainings.set(training, { training, round, of, validationLoss: loss });
        return;
      }
      case "learning-rate-chosen":
        this.learningRates.set(event.subject, event.learningRate);
        return;
      case "groups-found":
        this.groups = event.groups;
        this.groupsReason = event.reason;
        return;
      case "score":
        this.score(event.method, event.loss, event.accuracy);
        return;
      case "fault":
        this.faults.push({ client: event.client, stage: event.stage, message: event.message });
        return;
      case "run-finished":
        this.finished = true;
        return;
      case "run-stopped":
        this.stopped = { code: event.code, message: event.message };
        this.paused = null;
        return;
      case "run-paused":
        this.paused = { at: event.at, message: event.message };
        return;
      case "run-resumed":
        this.resumed(event.at);
        return;
      case "task-given":
      case "task-progress":
        return;
    }
  }

  private resumed(at: number): void {
    if (this.paused === null) return;
    this.pauses.count++;
    this.pauses.seconds += (at - this.paused.at) / 1000;
    this.paused = null;
  }

  private client(name: string, change: Partial<ClientSummary>): void {
    const before = this.clients.get(name) ?? { name, rows: null, enrolled: true, inRun: false };
    this.clients.set(name, { ...before, ...change });
  }

  private advance(name: string, done: number, info: EventInfo = {}): void {
    const stage = this.stages.get(name);
    // Units of a stage may be stored in any order.
    if (stage !== undefined && done >= stage.done) this.stages.set(name, { ...stage, done, info });
  }

  private score(method: MethodName, loss: number, accuracy: number | null): void {
    const sums = this.scores.get(method) ?? { clients: 0, loss: 0, withAccuracy: 0, accuracy: 0 };
    sums.clients++;
    sums.loss += loss;
    if (accuracy !== null) {
      sums.withAccuracy++;
      sums.accuracy += accuracy;
    }
    this.scores.set(method, sums);
  }

  private get status(): RunSummary["status"] {
    if (this.finished) return "finished";
    if (this.stopped !== null) return "stopped";
    return this.started ? "running" : "waiting";
  }

  summary(): RunSummary {
    return {
      status: this.status,
      events: this.events,
      firstAt: this.firstAt,
      lastAt: this.lastAt,
      model: this.model,
      clients: [...this.clients.values()],
      stages: [...this.stages.values()],
      trainings: [...this.trainings.values()],
      learningRates: Object.fromEntries(this.learningRates),
      groups: this.groups,
      groupsReason: this.groupsReason,
      cost: { ...this.cost },
      scores: [...this.scores].map(([method, { clients, loss, withAccuracy, accuracy }]) => ({
        method,
        clients,
        loss: loss / clients,
        accuracy: withAccuracy === 0 ? null : accuracy / withAccuracy,
      })),
      faults: [...this.faults],
      paused: this.finished ? null : this.paused,
      pauses: { ...this.pauses },
      stopped: this.finished ? null : this.stopped,
    };
  }
}

/** Reads the whole stream. */
export async function summarizeRun(events: AsyncIterable<LoggedEvent>): Promise<RunSummary> {
  const summarizer = new RunSummarizer();
  for await (const event of events) summarizer.add(event);
  return summarizer.summary();
}
