/**
 * Everything that happens in a run, as one stream of typed events. The stream is stored beside the journal and can be read from any
 * position. The terminal's progress, the log, the report, `kindred run logs` and `kindred run show` read it and nothing else.
 *
 * An event has a key that names what happened. A restarted coordinator runs its steps again and emits the same keys again; the stored
 * event stays, and the second is dropped. So a resumed run has one stream, and each event has the time of its first occurrence.
 */
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import type { MethodName } from "../../shared/config/enumerations.js";
import type { RowCounts } from "../../shared/wire/types.js";
import type { Records, StoredEvent } from "../storage/types.js";

/** Facts shown beside a count, such as `{loss: 1.25}`. */
export type EventInfo = Readonly<Record<string, string | number>>;

/** A closed union. A reader must accept, and may ignore, every type. */
export type RunEvent =
  /** The run has its clients, in the order of its reports. */
  | {
      readonly type: "run-started";
      readonly model: string | null;
      readonly clients: readonly { readonly name: string; readonly rows: RowCounts }[];
    }
  | {
      readonly type: "client-enrolled";
      readonly client: string;
      readonly as: "new" | "returning" | "successor";
      readonly rows: RowCounts;
    }
  /** No sign of life for as long as the coordinator waits, or the client's word. */
  | { readonly type: "client-left"; readonly client: string; readonly reason: string }
  | { readonly type: "task-given"; readonly client: string; readonly task: string; readonly kind: string }
  /** The client's report, 0 .. 1, in whole percents that grow. */
  | { readonly type: "task-progress"; readonly client: string; readonly task: string; readonly fraction: number }
  | {
      readonly type: "task-done";
      readonly client: string;
      readonly task: string;
      readonly kind: string;
      /** Bytes on the wire. */
      readonly bytesUp: number;
      readonly bytesDown: number;
      readonly flops: number;
    }
  | {
      readonly type: "task-failed";
      readonly client: string;
      readonly task: string;
      readonly kind: string;
      readonly code: ErrorCode;
      readonly message: string;
    }
  | { readonly type: "stage-began"; readonly stage: string /** Units; 0 where unknown. */; readonly total: number }
  | { readonly type: "stage-advanced"; readonly stage: string; readonly done: number; readonly info?: EventInfo }
  | { readonly type: "stage-ended"; readonly stage: string; readonly info?: EventInfo }
  | {
      readonly type: "round-closed";
      readonly training: string;
      /** From 1. */
      readonly round: number;
      readonly of: number;
      readonly accepted: number;
      readonly rejected: number;
      /** Mean over clients, nats per scored token; absent where no client reports one. */
      readonly trainLoss?: number;
      /** Of the values that the round started from, nats per scored token; absent where the round does not validate. */
      readonly validationLoss?: number;
    }
  | { readonly type: "learning-rate-chosen"; readonly subject: string; readonly learningRate: number }
  | {
      readonly type: "groups-found";
      readonly groups: readonly (readonly string[])[];
      readonly reason: string;
    }
  /** Mean loss and accuracy of a method on one client's test rows. */
  | {
      readonly type: "score";
      readonly method: MethodName;
      readonly client: string;
      readonly loss: number;
      readonly accuracy: number | null;
    }
  /** One client could not take part in a step; the run goes on without it. */
  | { readonly type: "fault"; readonly client: string; readonly stage: string; readonly message: string }
  /** The coordinator's own state is in trouble: the run waits. Stored once that has passed. */
  | { readonly type: "run-paused"; readonly trouble: string; readonly message: string }
  | { readonly type: "run-resumed" }
  | { readonly type: "run-finished"; readonly groups: number; readonly members: number }
  /** The process ends without a result. The run can be resumed. */
  | { readonly type: "run-stopped"; readonly code: ErrorCode; readonly message: string };

export type RunEventType = RunEvent["type"];

/** An event as it is stored and read. */
export type LoggedEvent = RunEvent & {
  /** Position in the stream, from 1, without gaps. */
  readonly seq: number;
  /** When it happened, milliseconds since 1970. */
  readonly at: number;
};

/** What emits events needs no more than this. */
export interface EventSink {
  emit(event: RunEvent): void;
}

/** Where the stream is kept: the state's records. */
export type EventRecords = Pick<Records, "appendEvents" | "events">;

/** Discards everything. */
export const silentEvents: EventSink = { emit() {} };

/** Events read per query. */
const PAGE = 1_000;

/** Every type, and whether it happens anew each time: its key is then unique. */
const TYPES: Readonly<Record<RunEventType, "once" | "repeatable">> = {
  "run-started": "once",
  "client-enrolled": "repeatable",
  "client-left": "repeatable",
  "task-given": "once",
  "task-progress": "once",
  "task-done": "once",
  "task-failed": "once",
  "stage-began": "once",
  "stage-advanced": "once",
  "stage-ended": "once",
  "round-closed": "once",
  "learning-rate-chosen": "once",
  "groups-found": "once",
  score: "once",
  fault: "once",
  "run-paused": "repeatable",
  "run-resumed": "repeatable",
  "run-finished": "once",
  "run-stopped": "repeatable",
};

function nameOf(event: RunEvent): readonly (string | number)[] {
  switch (event.type) {
    case "task-given":
    case "task-done":
    case "task-failed":
      return [event.task, event.client];
    case "task-progress":
      return [event.task, event.client, event.fraction];
    case "stage-began":
    case "stage-ended":
      return [event.stage];
    case "stage-advanced":
      return [event.stage, event.done];
    case "round-closed":
      return [event.training, event.round];
    case "learning-rate-chosen":
      return [event.subject];
    case "score":
      return [event.method, event.client];
    case "fault":
      return [event.client, event.stage, event.message];
    default:
      return [];
  }
}

/** What reads the stream. @param live false for an event that was stored before the subscription */
export type RunEventListener = (event: LoggedEvent, live: boolean) => void;

/** Stores events in their order of emission, and gives each stored event to every subscriber once. */
export class EventLog implements EventSink {
  private waiting: { key: string; at: number; json: string }[] = [];
  private readonly listeners = new Set<RunEventListener>();
  private writing: Promise<void> = Promise.resolve();
  private repeats = 0;
  private failure: unknown;
  private last = 0;

  /** @param clock milliseconds since 1970 */
  constructor(
    private readonly records: EventRecords,
    private readonly clock: () => number = Date.now,
  ) {}

  emit(event: RunEvent): void {
    const at = this.clock();
    const unique = TYPES[event.type] === "repeatable" ? [at, process.pid, this.repeats++] : [];
    const key = JSON.stringify([event.type, ...nameOf(event), ...unique]);
    this.waiting.push({ key, at, json: JSON.stringify(event) });
    // All events of one turn of the event loop are one write.
    if (this.waiting.length === 1) this.writing = this.writing.then(() => this.write());
  }

  /**
   * Gives the listeners all stored events, which are read once for all of them, and then each new one.
   * @returns ends the subscription
   */
  async subscribe(...listeners: readonly RunEventListener[]): Promise<() => void> {
    const replay = async (): Promise<void> => {
      for await (const event of readEvents(this.records)) {
        for (const listener of listeners) listener(event, false);
        this.last = event.seq;
      }
      for (const listener of listeners) this.listeners.add(listener);
    };
    // Between two writes, so that no event is missed and none comes twice.
    this.writing = this.writing.then(() => this.write()).then(replay);
    await this.flush();
    return () => {
      for (const listener of listeners) this.listeners.delete(listener);
    };
  }

  /** Resolves when all events emitted so far are stored. @throws what the state threw */
  async flush(): Promise<void> {
    await this.writing;
    if (this.failure !== undefined) throw this.failure;
  }

  private async write(): Promise<void> {
    const events = this.waiting;
    this.waiting = [];
    if (events.length === 0 || this.failure !== undefined) return;
    try {
      await this.records.appendEvents(events);
      if (this.listeners.size === 0) return;
      for await (const event of readEvents(this.records, this.last + 1)) {
        this.last = event.seq;
        for (const listener of this.listeners) listener(event, true);
      }
    } catch (error) {
      // Told by `flush`. A run whose events cannot be stored must not go on as if they were.
      this.failure = error;
    }
  }
}

/** @throws {KindredError} `invalid_data` naming the position of an event that is damaged or of a type that this Kindred does not know */
function parseEvent({ seq = 0, at, json }: StoredEvent): LoggedEvent {
  let event: unknown;
  try {
    event = JSON.parse(json);
  } catch {
    // Reported below, with its position.
  }
  const type = typeof event === "object" && event !== null && "type" in event ? event.type : undefined;
  if (typeof type !== "string" || !Object.hasOwn(TYPES, type)) {
    const got = type === undefined ? "damaged text" : `type ${JSON.stringify(type)}`;
    throw new KindredError(
      "invalid_data",
      `the state's event ${seq}: not an event of this version; expected one of its types, got ${got}; read the state with the Kindred that wrote it`,
      { seq },
    );
  }
  return { ...(event as RunEvent), seq, at };
}

/** All stored events from position `from`, in their order. */
export async function* readEvents(
  records: Pick<EventRecords, "events">,
  from = 1,
): AsyncGenerator<LoggedEvent, void, undefined> {
  for (let next = from; ; ) {
    const page = await records.events(next, PAGE);
    for (const stored of page) yield parseEvent(stored);
    if (page.length < PAGE) return;
    next = (page.at(-1)?.seq ?? next) + 1;
  }
}

/** A stage of a run under way. Units may be done by several tasks at once. */
export interface RunStage {
  /** @param units done since the last call. @default 1 */
  advance(info?: EventInfo, units?: number): void;
  /** @param share of the stage's work that is done, 0 .. 1; what is not more than before is not told */
  reached(share: number, info?: EventInfo): void;
  /** The same, where some of the clients have answered. */
  answered(share: number, clients: number, of: number): void;
  end(info?: EventInfo): void;
}

/** A loss as a fact of a stage; none where it is not known. */
export const lossFact = (loss: number | undefined): EventInfo =>
  loss !== undefined && Number.isFinite(loss) ? { loss } : {};

/** Of a stage: finer steps are not told, since events are stored. */
const SMALLEST_STEP = 1 / 1000;

/** Begins a stage. Its name must be unique in the run. @param total units; 0 where unknown */
export function beginStage(events: EventSink, stage: string, total: number): RunStage {
  events.emit({ type: "stage-began", stage, total });
  let done = 0;
  let told = -1;
  const advance = (info?: EventInfo, units = 1): void => {
    done += units;
    events.emit({ type: "stage-advanced", stage, done, ...(info && { info }) });
  };
  const reached = (share: number, info?: EventInfo): void => {
    const steps = Math.floor(Math.min(1, share) / SMALLEST_STEP);
    if (steps <= told) return;
    told = steps;
    advance(info, steps * SMALLEST_STEP * total - done);
  };
  return {
    advance,
    reached,
    answered: (share, clients, of) => reached(share, { clients: `${clients}/${of}` }),
    end(info) {
      events.emit({ type: "stage-ended", stage, ...(info && { info }) });
    },
  };
}
