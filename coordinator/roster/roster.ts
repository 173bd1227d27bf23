/**
 * The shell of the roster: passes events to the clients' ledgers, performs their effects, runs the clock, and is the `ClientPool` of the
 * run. Decisions are in enrolment.ts and ledger.ts, sessions in enrolled-clients.ts, waiting calls in polls.ts, callers of tasks in
 * running-tasks.ts, outcomes in results.ts; the server speaks gRPC.
 */

import { isDeepStrictEqual } from "node:util";
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { TransformName } from "../../shared/transforms/names.js";
import { LONGEST_WAIT_MS } from "../../shared/wire/limits.js";
import type { BlobRef, ModelIdentity } from "../../shared/wire/types.js";
import { checkTask } from "../../tasks/envelope.js";
import type { ResultFor, TaskResult, TaskSpec } from "../../tasks/kinds.js";
import { type EventSink, silentEvents } from "../events/events.js";
import type { Blobs, Records, StoredTask, TaskOutcome } from "../storage/types.js";
import { Conditions } from "./conditions.js";
import { EnrolledClients, type EnrolRequest, sha256 } from "./enrolled-clients.js";
import type { LedgerEffect, LedgerEvent } from "./ledger.js";
import { type NextTask, Polls } from "./polls.js";
import type { ClientInfo, ClientPool, FinishOptions, RunTaskOptions } from "./pool.js";
import { type Receipt, Results } from "./results.js";
import { type RunningTask, RunningTasks, withdrawnError } from "./running-tasks.js";

export interface RosterOptions {
  readonly records: Records;
  readonly blobs: Blobs;
  /** SHA-256 of the base model. @default that of the first client */
  readonly identity?: Partial<ModelIdentity> | undefined;
  /** Transforms of updates that clients must support. @default none */
  readonly transforms?: readonly TransformName[];
  readonly log: Logger;
  /** Receives events about clients and tasks. @default discards them */
  readonly events?: EventSink;
  /** A monotonic clock, milliseconds. @default performance.now */
  readonly now?: () => number;
  /** Whether the run waits for the coordinator's own state: its time counts against no client. @default never */
  readonly paused?: () => boolean;
  /** Silence after which a client is given up: its tasks fail and its name is free. @default 120_000 */
  readonly silenceMs?: number;
  /** Interval of the clock. @default 250 */
  readonly tickMs?: number;
  /** Calls `tick` every `periodMs` until the returned function is called. @default a timer that does not keep the process alive */
  readonly every?: (tick: () => void, periodMs: number) => () => void;
}

const DEFAULT_DEADLINE_MS = 1_800_000;
const DEFAULT_SILENCE_MS = 120_000;
const DEFAULT_TICK_MS = 250;
/** Heartbeats per silence: one may be lost and the next late without harm. */
const HEARTBEATS_PER_SILENCE = 6;
const LONGEST_HEARTBEAT_MS = 10_000;

function timer(tick: () => void, periodMs: number): () => void {
  const interval = setInterval(tick, periodMs);
  interval.unref();
  return () => clearInterval(interval);
}

export class Roster implements ClientPool {
  private readonly enrolled: EnrolledClients;
  private readonly polls = new Polls();
  private readonly running = new RunningTasks();
  private readonly results: Results;
  private readonly conditions = new Conditions();
  private readonly events: EventSink;
  private readonly now: () => number;
  private readonly silenceMs: number;
  private readonly tickMs: number;
  private readonly stopTicking: () => void;
  private lastTickMs: number;
  private over: { readonly finished: boolean; readonly reason: string } | undefined;
  private closed = false;

  private constructor(private readonly options: RosterOptions) {
    const { records, blobs, identity = {}, transforms = [], events = silentEvents } = options;
    this.events = events;
    this.now = options.now ?? (() => performance.now());
    this.silenceMs = options.silenceMs ?? DEFAULT_SILENCE_MS;
    this.tickMs = options.tickMs ?? DEFAULT_TICK_MS;
    this.enrolled = new EnrolledClients({ identity, transforms, silenceMs: this.silenceMs, now: this.now });
    this.results = new Results({
      records,
      blobs,
      events,
      isWithdrawn: (taskId) => this.running.isWithdrawn(taskId),
      onSettled: ({ id, client }, outcome) => {
        this.apply(client, { type: "removed", taskId: id });
        this.running.resolve(id, outcome);
      },
    });
    this.lastTickMs = this.now();
    this.stopTicking = (options.every ?? timer)(() => this.tick(), this.tickMs);
  }

  /** Takes up the clients and tasks in the records. */
  static async open(options: RosterOptions): Promise<Roster> {
    const known = await options.records.clients();
    const roster = new Roster(options);
    for (const record of known) roster.enrolled.restore(record);
    return roster;
  }

  /** Interval at which clients must give a sign of life. */
  get heartbeatMs(): number {
    return Math.max(1, Math.min(LONGEST_HEARTBEAT_MS, Math.floor(this.silenceMs / HEARTBEATS_PER_SILENCE)));
  }

  /** Ends waiting calls and running tasks with `cancelled`; stored state stays for the next process. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopTicking();
    for (const [poll] of this.polls.list()) this.polls.answer(poll, { type: "none" });
    this.running.rejectAll(new KindredError("cancelled", "the coordinator is closing"));
    this.conditions.close();
  }

  // ---- for the server -----------------------------------------------------------------------------------------------

  /** Admits a client. Returns its session token. @throws {KindredError} see `decideEnrolment` */
  async enrol(request: EnrolRequest): Promise<string> {
    const { name, rows } = request;
    // In memory before the write, so that a second instance that enrols meanwhile finds the name held.
    const { record, token, as } = this.enrolled.enrol(request);
    await this.options.records.saveClient(record);
    this.events.emit({ type: "client-enrolled", client: name, as, rows });
    this.conditions.check();
    return token;
  }

  /** The client of a session. @throws {KindredError} `not_found` (enrol again), `name_taken` (replaced) */
  authenticate(token: string): string {
    return this.enrolled.authenticate(token);
  }

  /** Waits for the client's next task for at most `waitMs`. Never rejects. */
  nextTask(name: string, waitMs: number, signal: AbortSignal): Promise<NextTask> {
    if (this.over && this.enrolled.has(name)) {
      this.enrolled.notified(name);
      this.conditions.check();
      return Promise.resolve({ type: "over", ...this.over });
    }
    if (this.closed || signal.aborted) return Promise.resolve({ type: "none" });
    const onHangUp = (poll: number) => this.apply(name, { type: "pollEnded", poll });
    const { poll, reply } = this.polls.open(name, signal, onHangUp);
    this.apply(name, { type: "polled", poll, waitMs: Math.min(waitMs, LONGEST_WAIT_MS) });
    return reply;
  }

  /** Takes a client's progress. @returns whether the task is still wanted */
  async progress(name: string, taskId: string, fraction: number): Promise<boolean> {
    if (this.over || this.running.isWithdrawn(taskId)) return false;
    this.apply(name, { type: "progressed", taskId, fraction });
    const running = this.running.get(taskId);
    if (running?.client === name) {
      const percent = this.running.progress(taskId, fraction);
      if (percent !== undefined) {
        this.events.emit({ type: "task-progress", client: name, task: running.key, fraction: percent / 100 });
      }
      return true;
    }
    // After a restart the run may not have reached this task yet; it will.
    return this.results.isOpen(name, taskId);
  }

  /** See `Results.report`. */
  report(name: string, taskId: string, read: () => TaskResult, messageBytes: number): Promise<Receipt> {
    return this.results.report(name, taskId, read, messageBytes);
  }

  /** See `Results.fail`. */
  fail(name: string, taskId: string, code: ErrorCode, message: string): Promise<Receipt> {
    return this.results.fail(name, taskId, code, message);
  }

  /** See `Results.checkDownload`. */
  checkDownload(name: string, taskId: string, ref: BlobRef): Promise<void> {
    return this.results.checkDownload(name, taskId, ref);
  }

  /** See `Results.checkUpload`. */
  checkUpload(name: string, taskId: string, ref: BlobRef): Promise<void> {
    return this.results.checkUpload(name, taskId, ref);
  }

  // ---- for the run --------------------------------------------------------------------------------------------------

  async clients(): Promise<ClientInfo[]> {
    return this.enrolled.list();
  }

  async whenEnrolled(min: number, signal?: AbortSignal): Promise<ClientInfo[]> {
    await this.conditions.until(() => this.enrolled.size >= min, signal);
    return this.clients();
  }

  async run<T extends TaskSpec>(
    key: string,
    client: string,
    task: T,
    options: RunTaskOptions = {},
  ): Promise<TaskOutcome<ResultFor<T>>> {
    if (options.signal?.aborted) throw withdrawnError({ key, client });
    if (this.closed) throw new KindredError("cancelled", "the coordinator is closing");
    const id = sha256(JSON.stringify([client, key]));
    const running = this.running.get(id);
    if (running) mustEqual(key, client, running.task, task);
    else {
      checkTask(task);
      this.running.add(id, { key, client, task });
      this.start({ id, key, client, task }, options.deadlineMs ?? DEFAULT_DEADLINE_MS);
    }
    const onWithdrawn = () => this.apply(client, { type: "removed", taskId: id });
    // The result was checked against the task's kind when it was accepted.
    return (await this.running.wait(id, options, onWithdrawn)) as TaskOutcome<ResultFor<T>>;
  }

  async finish(reason: string, { finished = true, lingerMs = 10_000 }: FinishOptions = {}): Promise<void> {
    this.over = { finished, reason };
    for (const [poll, name] of this.polls.list()) {
      this.enrolled.notified(name);
      this.polls.answer(poll, { type: "over", ...this.over });
      this.apply(name, { type: "pollEnded", poll });
    }
    try {
      await this.conditions.until(() => this.enrolled.allGone(), AbortSignal.timeout(lingerMs));
    } catch (error) {
      // The other clients learn it from a closed connection.
      if (!(error instanceof KindredError) || error.code !== "cancelled") throw error;
    }
  }

  get blobs(): Blobs {
    return this.options.blobs;
  }

  putBlob(bytes: Uint8Array): Promise<BlobRef> {
    return this.options.blobs.put(bytes);
  }

  getBlob(ref: BlobRef): Promise<Uint8Array> {
    return this.options.blobs.get(ref);
  }

  // ---- inside -------------------------------------------------------------------------------------------------------

  /** Resolves a task from its stored outcome, or puts it on its client's list. */
  private start(entry: Omit<StoredTask, "outcome">, deadlineMs: number): void {
    const { id, key, client, task } = entry;
    const running = this.running.get(id) as RunningTask;
    const begin = async () => {
      const stored = await this.options.records.task(id);
      if (stored) mustEqual(key, client, stored.task, task);
      if (stored?.outcome) return this.running.resolve(id, stored.outcome);
      if (!this.enrolled.has(client)) {
        const message = `client ${client} is not enrolled`;
        return this.running.resolve(id, { ok: false, code: "not_found", message, bytesUp: 0, bytesDown: 0 });
      }
      if (!stored) await this.options.records.addTask(entry);
      if (this.running.get(id) !== running) return; // withdrawn meanwhile
      this.apply(client, { type: "submitted", taskId: id, deadlineMs });
    };
    begin().catch((error) => this.running.reject(id, error, running));
  }

  private apply(name: string, event: LedgerEvent): void {
    for (const effect of this.enrolled.step(name, event)) this.perform(name, effect);
  }

  private perform(name: string, effect: LedgerEffect): void {
    switch (effect.type) {
      case "nothing":
        this.polls.answer(effect.poll, { type: "none" });
        return;
      case "offer": {
        const running = this.running.get(effect.taskId);
        if (running) {
          const { key, task } = running;
          this.events.emit({ type: "task-given", client: name, task: key, kind: task.kind });
          this.polls.answer(effect.poll, { type: "task", taskId: effect.taskId, task });
        } else this.polls.answer(effect.poll, { type: "none" });
        return;
      }
      case "fail":
        this.results.failByLedger(name, effect).catch((error) => this.running.reject(effect.taskId, error));
    }
  }

  /** Applies the time to all ledgers. */
  private tick(): void {
    const now = this.now();
    const stalledMs = now - this.lastTickMs - (this.options.paused?.() ? 0 : this.tickMs);
    this.lastTickMs = now;
    for (const name of this.enrolled.names()) {
      // A blocked event loop (a long solve, a suspended machine) handles the timer before it reads its sockets.
      if (stalledMs > this.tickMs || this.options.paused?.()) this.apply(name, { type: "stalled", ms: stalledMs });
      this.apply(name, { type: "tick" });
      if (this.enrolled.giveUpIfSilent(name))
        this.events.emit({ type: "client-left", client: name, reason: "no sign of life" });
    }
    this.conditions.check();
  }
}

function mustEqual(key: string, client: string, known: TaskSpec, given: TaskSpec): void {
  if (isDeepStrictEqual(JSON.parse(JSON.stringify(known)), JSON.parse(JSON.stringify(given)))) return;
  const message = `task ${key} of client ${client} was started with another specification: change the key, or start a new run`;
  throw new KindredError("internal", message, { key, client });
}
