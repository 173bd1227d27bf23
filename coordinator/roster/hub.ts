/**
 * The shell around the roster's decisions: holds the ledgers, wakes waiting calls, writes outcomes, and serves the pipeline
 * as its `ClientPool`. Decisions are in enrolment.ts and ledger.ts; durability is the state's; gRPC is the server's.
 */
import { createHash, randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { TransformName } from "../../shared/transforms/names.js";
import { LONGEST_WAIT_MS, MAX_CLIENTS, MAX_UPLOADS_PER_TASK, PROTOCOL_VERSION } from "../../shared/wire/limits.js";
import { transferBytes } from "../../shared/wire/services.js";
import type { BlobRef, RowCounts } from "../../shared/wire/types.js";
import { checkAnswers, checkTask, taskBytes } from "../../tasks/envelope.js";
import { blobsOfResult, blobsOfTask, type ResultFor, type TaskResult, type TaskSpec } from "../../tasks/kinds.js";
import { type EventSink, silentEvents } from "../events/events.js";
import type { Blobs, Records, StoredClient, StoredTask, TaskOutcome } from "../storage/types.js";
import { decideEnrolment } from "./enrolment.js";
import { emptyLedger, isLive, type Ledger, type LedgerEffect, type LedgerEvent, step } from "./ledger.js";
import type { ClientInfo, ClientPool, FinishOptions, RunTaskOptions } from "./pool.js";

export interface HubOptions {
  readonly records: Records;
  readonly blobs: Blobs;
  /** SHA-256 of the base model. */
  readonly modelHash?: string | undefined;
  /** Transforms of updates that clients must be able to do. @default none */
  readonly transforms?: readonly TransformName[];
  readonly log: Logger;
  /** Told who comes and goes, and what becomes of tasks. @default discards it */
  readonly events?: EventSink;
  /** A clock that never goes back, milliseconds. @default performance.now */
  readonly now?: () => number;
  /** A client not heard from for so long is given up: its tasks fail and its name is free. @default 120_000 */
  readonly silenceMs?: number;
  /** How often the clocks are looked at. @default 250 */
  readonly tickMs?: number;
  /** Calls `look` every `periodMs` until the returned function is called. @default a timer that keeps no process alive */
  readonly every?: (look: () => void, periodMs: number) => () => void;
}

export interface EnrolRequest {
  readonly protocolVersion: number;
  readonly name: string;
  readonly instanceId: string;
  readonly modelHash: string;
  readonly rows: RowCounts;
  readonly transforms: readonly string[];
}

export type NextTask =
  | { readonly type: "none" }
  | { readonly type: "task"; readonly taskId: string; readonly task: TaskSpec }
  | { readonly type: "over"; readonly finished: boolean; readonly reason: string };

export interface Receipt {
  readonly accepted: boolean;
  readonly reason: string;
}

interface Member {
  record: StoredClient;
  ledger: Ledger;
  /** Heard from by this process. */
  seen: boolean;
  /** Given up after a long silence; until it is heard from again. */
  left: boolean;
  /** Was told that the run is over. */
  told: boolean;
}

interface Running {
  readonly key: string;
  readonly client: string;
  readonly task: TaskSpec;
  readonly outcome: Promise<TaskOutcome>;
  resolve(outcome: TaskOutcome): void;
  reject(error: unknown): void;
  /** Callers that still want it. */
  holders: number;
  readonly onProgress: Set<(fraction: number) => void>;
}

const DEFAULT_DEADLINE_MS = 1_800_000;
const DEFAULT_SILENCE_MS = 120_000;
const DEFAULT_TICK_MS = 250;
/** Heartbeats per silence: one may be lost and the next late without harm. */
const HEARTBEATS_PER_SILENCE = 6;
const LONGEST_HEARTBEAT_MS = 10_000;

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function timer(look: () => void, periodMs: number): () => void {
  const interval = setInterval(look, periodMs);
  interval.unref();
  return () => clearInterval(interval);
}

export class Hub implements ClientPool {
  private readonly members = new Map<string, Member>();
  /** By the hash of the token: whose session it is, and whether it is the name's present one. */
  private readonly sessions = new Map<string, { name: string; present: boolean }>();
  private readonly polls = new Map<number, { name: string; answer: (next: NextTask) => void }>();
  private readonly running = new Map<string, Running>();
  private readonly withdrawn = new Set<string>();
  private readonly waiters = new Set<() => void>();
  private readonly stopTicking: () => void;
  private readonly policy: { readonly silenceMs: number };
  private readonly now: () => number;
  private readonly events: EventSink;
  private readonly tickMs: number;
  private lastTickMs: number;
  private nextPoll = 1;
  private over: { readonly finished: boolean; readonly reason: string } | undefined;
  private closed = false;

  private constructor(private readonly options: HubOptions) {
    this.events = options.events ?? silentEvents;
    this.now = options.now ?? (() => performance.now());
    this.policy = { silenceMs: options.silenceMs ?? DEFAULT_SILENCE_MS };
    this.tickMs = options.tickMs ?? DEFAULT_TICK_MS;
    this.lastTickMs = this.now();
    this.stopTicking = (options.every ?? timer)(() => this.tick(), this.tickMs);
  }

  /** Takes up the clients and tasks that the records hold. */
  static async open(options: HubOptions): Promise<Hub> {
    const known = await options.records.clients();
    const hub = new Hub(options);
    for (const record of known) {
      hub.members.set(record.name, { record, ledger: emptyLedger(hub.now()), seen: false, left: false, told: false });
      hub.sessions.set(record.tokenHash, { name: record.name, present: true });
    }
    return hub;
  }

  /** The hash that clients must have: the coordinator's own, else that of the first client. */
  private modelHash(): string | undefined {
    const [first] = this.members.values();
    return this.options.modelHash ?? first?.record.modelHash;
  }

  get heartbeatMs(): number {
    return Math.max(1, Math.min(LONGEST_HEARTBEAT_MS, Math.floor(this.policy.silenceMs / HEARTBEATS_PER_SILENCE)));
  }

  /** Ends waiting calls and running tasks with `cancelled`; stored state stays for the next process. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopTicking();
    for (const id of [...this.polls.keys()]) this.answer(id, { type: "none" });
    for (const task of this.running.values()) task.reject(new KindredError("cancelled", "the coordinator is closing"));
    this.running.clear();
    this.wake();
  }

  // ---- for the server -----------------------------------------------------------------------------------------------

  /** Admits a client. Returns its session token. @throws {KindredError} see `decideEnrolment` */
  async enrol(request: EnrolRequest): Promise<string> {
    const instanceHash = sha256(request.instanceId);
    const holder = this.members.get(request.name);
    const verdict = decideEnrolment(
      { ...request, instanceHash },
      holder && { instanceHash: holder.record.instanceHash, live: isLive(holder.ledger, this.now(), this.policy) },
      {
        protocolVersion: PROTOCOL_VERSION,
        modelHash: this.modelHash() ?? request.modelHash,
        transforms: this.options.transforms ?? [],
        members: this.members.size,
        maxMembers: MAX_CLIENTS,
      },
    );
    if (!verdict.admit) {
      this.options.log.warn("client refused", { client: request.name, code: verdict.error.code });
      throw verdict.error;
    }
    const token = randomBytes(32).toString("base64url");
    const record = {
      name: request.name,
      instanceHash,
      tokenHash: sha256(token),
      modelHash: request.modelHash,
      rows: request.rows,
    };
    const member: Member = holder ?? { record, ledger: emptyLedger(this.now()), seen: true, left: false, told: false };
    // Taken before the write, so that a second instance that comes meanwhile finds the name held.
    this.replaceSession(request.name, record.tokenHash);
    member.record = record;
    member.seen = true;
    member.left = false;
    this.members.set(request.name, member);
    this.apply(request.name, { type: "seen" });
    await this.options.records.saveClient(record);
    this.events.emit({ type: "client-enrolled", client: request.name, as: verdict.as, rows: request.rows });
    this.wake();
    return token;
  }

  /** The client whose session this is. @throws {KindredError} `not_found` (enrol again), `name_taken` (replaced) */
  authenticate(token: string): string {
    const session = this.sessions.get(sha256(token));
    const member = session && this.members.get(session.name);
    if (session && !session.present) {
      const message = `another process enrolled as ${session.name} after this one, and holds the name now`;
      throw new KindredError("name_taken", message, { client: session.name });
    }
    if (session && member) {
      member.seen = true;
      member.left = false;
      this.apply(session.name, { type: "seen" });
      return session.name;
    }
    throw new KindredError("not_found", "the coordinator does not know this session: enrol again", { what: "session" });
  }

  /** Waits for the client's next task at most `waitMs`. Never rejects. */
  nextTask(name: string, waitMs: number, signal: AbortSignal): Promise<NextTask> {
    const member = this.members.get(name);
    if (this.over && member) {
      member.told = true;
      this.wake();
      return Promise.resolve({ type: "over", ...this.over });
    }
    if (this.closed || signal.aborted) return Promise.resolve({ type: "none" });
    const poll = this.nextPoll++;
    return new Promise((resolve) => {
      const ended = () => {
        this.polls.delete(poll);
        this.apply(name, { type: "pollEnded", poll });
        resolve({ type: "none" });
      };
      signal.addEventListener("abort", ended, { once: true });
      const answer = (next: NextTask) => {
        signal.removeEventListener("abort", ended);
        resolve(next);
      };
      this.polls.set(poll, { name, answer });
      this.apply(name, { type: "polled", poll, waitMs: Math.min(waitMs, LONGEST_WAIT_MS) });
    });
  }

  /** Is the task still wanted? */
  async progress(name: string, taskId: string, fraction: number): Promise<boolean> {
    if (this.over || this.withdrawn.has(taskId)) return false;
    this.apply(name, { type: "progressed", taskId, fraction });
    const running = this.running.get(taskId);
    if (running?.client === name) {
      this.events.emit({ type: "task-progress", client: name, task: running.key, fraction });
      for (const listener of running.onProgress) listener(fraction);
      return true;
    }
    // After a restart the pipeline may not have come to this task yet; it will.
    const stored = await this.options.records.task(taskId);
    return stored?.client === name && stored.outcome === undefined;
  }

  /**
   * Takes a result. @param messageBytes of the result on the wire
   * @throws {KindredError} `not_found` where a blob it names is not uploaded
   */
  async report(name: string, taskId: string, result: TaskResult, messageBytes: number): Promise<Receipt> {
    const stored = await this.ownTask(name, taskId);
    if (!stored) return { accepted: false, reason: "no such task of this client" };
    if (stored.outcome) return receiptOf(stored.outcome);
    try {
      checkAnswers(stored.task, result);
    } catch (error) {
      if (!(error instanceof KindredError)) throw error;
      return this.fail(name, taskId, error.code, `its result cannot be used: ${error.message}`);
    }
    for (const ref of blobsOfResult(result)) {
      if (await this.options.records.isUploaded(taskId, ref)) continue;
      const message = `the result names blob ${ref.sha256}, which is not uploaded for the task: upload it, then report`;
      throw new KindredError("not_found", message, { what: "blob", sha256: ref.sha256 });
    }
    const blobs = blobsOfResult(result).reduce((sum, ref) => sum + transferBytes(ref.size), 0);
    return this.settle(stored, { ok: true, result, bytesUp: messageBytes + blobs, bytesDown: bytesDown(stored) });
  }

  /** Takes a client's word that it cannot do a task, or the server's that its result is unreadable. */
  async fail(name: string, taskId: string, code: ErrorCode, message: string): Promise<Receipt> {
    const stored = await this.ownTask(name, taskId);
    if (!stored) return { accepted: false, reason: "no such task of this client" };
    const outcome: TaskOutcome = {
      ok: false,
      code,
      message: `client ${name}: ${message}`,
      bytesUp: 0,
      bytesDown: bytesDown(stored),
    };
    // The same failure again gets the same receipt: the first one may have been lost.
    if (stored.outcome && !isDeepStrictEqual(stored.outcome, outcome)) return receiptOf(stored.outcome);
    if (!stored.outcome) await this.settle(stored, outcome);
    return { accepted: code !== "invalid_message", reason: code === "invalid_message" ? message : "" };
  }

  /** May the client download this blob for this task? @throws {KindredError} `not_found` */
  async mayDownload(name: string, taskId: string, ref: BlobRef): Promise<void> {
    const stored = await this.unsettled(name, taskId);
    const named = blobsOfTask(stored.task).some((blob) => blob.sha256 === ref.sha256 && blob.size === ref.size);
    if (!named) throw new KindredError("not_found", `task ${taskId} does not name blob ${ref.sha256}`, { taskId });
  }

  /** May the client upload this blob for this task? @throws {KindredError} `not_found`, `too_large` */
  async mayUpload(name: string, taskId: string, ref: BlobRef): Promise<void> {
    await this.unsettled(name, taskId);
    if ((await this.options.records.announceUpload(taskId, ref)) > MAX_UPLOADS_PER_TASK) {
      const message = `task ${taskId} has announced more than ${MAX_UPLOADS_PER_TASK} blobs`;
      throw new KindredError("too_large", message, { taskId, limit: MAX_UPLOADS_PER_TASK });
    }
  }

  // ---- for the pipeline ---------------------------------------------------------------------------------------------

  async clients(): Promise<ClientInfo[]> {
    return [...this.members.values()]
      .map(({ record, ledger }) => ({
        name: record.name,
        modelHash: record.modelHash,
        rows: record.rows,
        live: isLive(ledger, this.now(), this.policy),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async whenEnrolled(min: number, signal?: AbortSignal): Promise<ClientInfo[]> {
    await this.until(() => this.members.size >= min, signal);
    return this.clients();
  }

  async run<T extends TaskSpec>(
    key: string,
    client: string,
    task: T,
    options: RunTaskOptions = {},
  ): Promise<TaskOutcome<ResultFor<T>>> {
    const { signal, onProgress } = options;
    const cancelled = () => new KindredError("cancelled", `task ${key} of client ${client} was withdrawn`);
    if (signal?.aborted) throw cancelled();
    if (this.closed) throw new KindredError("cancelled", "the coordinator is closing");
    const id = sha256(JSON.stringify([client, key]));
    let running = this.running.get(id);
    if (!running) {
      checkTask(task);
      running = newRunning(key, client, task);
      this.running.set(id, running);
      this.withdrawn.delete(id);
      this.start({ id, key, client, task }, options.deadlineMs ?? DEFAULT_DEADLINE_MS, running);
    } else {
      mustEqual(key, client, running.task, task);
    }
    if (onProgress) running.onProgress.add(onProgress);
    running.holders++;
    const job = running;
    let withdraw: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      withdraw = () => reject(cancelled());
      signal?.addEventListener("abort", withdraw, { once: true });
    });
    try {
      // The result was checked against the task's kind when it was accepted.
      return (await Promise.race([job.outcome, aborted])) as TaskOutcome<ResultFor<T>>;
    } finally {
      if (withdraw) signal?.removeEventListener("abort", withdraw);
      if (onProgress) job.onProgress.delete(onProgress);
      if (--job.holders === 0 && this.running.get(id) === job) {
        this.running.delete(id);
        this.withdrawn.add(id);
        this.apply(client, { type: "removed", taskId: id });
      }
    }
  }

  async finish(reason: string, { finished = true, lingerMs = 10_000 }: FinishOptions = {}): Promise<void> {
    this.over = { finished, reason };
    for (const [poll, { name }] of [...this.polls]) {
      const member = this.members.get(name);
      if (member) member.told = true;
      this.answer(poll, { type: "over", ...this.over });
      this.apply(name, { type: "pollEnded", poll });
    }
    const gone = () =>
      [...this.members.values()].every((m) => m.told || !m.seen || !isLive(m.ledger, this.now(), this.policy));
    try {
      await this.until(gone, AbortSignal.timeout(lingerMs));
    } catch (error) {
      // Those that did not come learn it from a closed connection.
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

  private start(entry: Omit<StoredTask, "outcome">, deadlineMs: number, running: Running): void {
    const begin = async () => {
      const stored = await this.options.records.task(entry.id);
      if (stored) mustEqual(entry.key, entry.client, stored.task, entry.task);
      if (stored?.outcome) return this.resolve(entry.id, stored.outcome);
      if (!this.members.has(entry.client)) {
        const message = `client ${entry.client} is not enrolled`;
        return this.resolve(entry.id, { ok: false, code: "not_found", message, bytesUp: 0, bytesDown: 0 });
      }
      if (!stored) await this.options.records.addTask(entry);
      if (this.running.get(entry.id) !== running) return; // withdrawn meanwhile
      this.apply(entry.client, { type: "submitted", taskId: entry.id, deadlineMs });
    };
    begin().catch((error) => {
      this.running.delete(entry.id);
      running.reject(error);
    });
  }

  /** The present session of a name becomes its former one, whose user is told; those before it are forgotten. */
  private replaceSession(name: string, tokenHash: string): void {
    for (const [hash, session] of this.sessions) {
      if (session.name !== name) continue;
      if (session.present) session.present = false;
      else this.sessions.delete(hash);
    }
    this.sessions.set(tokenHash, { name, present: true });
  }

  private async ownTask(name: string, taskId: string): Promise<StoredTask | undefined> {
    const stored = await this.options.records.task(taskId);
    return stored?.client === name ? stored : undefined;
  }

  private async unsettled(name: string, taskId: string): Promise<StoredTask> {
    const stored = await this.ownTask(name, taskId);
    if (stored && stored.outcome === undefined && !this.withdrawn.has(taskId)) return stored;
    const why = stored ? "is settled or withdrawn" : "is not known as a task of this client";
    throw new KindredError("not_found", `task ${taskId} ${why}`, { taskId, what: "task" });
  }

  private async settle(task: StoredTask, outcome: TaskOutcome): Promise<Receipt> {
    const first = await this.options.records.settleTask(task.id, outcome);
    const final = first ? outcome : ((await this.options.records.task(task.id))?.outcome ?? outcome);
    if (first) {
      const fields = { client: task.client, kind: task.task.kind, task: task.key };
      if (final.ok) {
        const { bytesUp, bytesDown, result } = final;
        this.events.emit({ type: "task-done", ...fields, bytesUp, bytesDown, flops: result.cost.flops });
      } else this.events.emit({ type: "task-failed", ...fields, code: final.code, message: final.message });
      await this.options.blobs.dropUnfinished(task.id);
    }
    this.apply(task.client, { type: "removed", taskId: task.id });
    this.resolve(task.id, final);
    return receiptOf(final);
  }

  private resolve(taskId: string, outcome: TaskOutcome): void {
    const running = this.running.get(taskId);
    this.running.delete(taskId);
    running?.resolve(outcome);
  }

  private answer(poll: number, next: NextTask): void {
    const waiting = this.polls.get(poll);
    this.polls.delete(poll);
    waiting?.answer(next);
  }

  private apply(name: string, event: LedgerEvent): void {
    const member = this.members.get(name);
    if (!member) return;
    const [ledger, effects] = step(member.ledger, event, this.now(), this.policy);
    member.ledger = ledger;
    for (const effect of effects) this.perform(name, effect);
  }

  private perform(name: string, effect: LedgerEffect): void {
    switch (effect.type) {
      case "nothing":
        this.answer(effect.poll, { type: "none" });
        return;
      case "offer": {
        const running = this.running.get(effect.taskId);
        if (running) {
          const { key, task } = running;
          this.events.emit({ type: "task-given", client: name, task: key, kind: task.kind });
          this.answer(effect.poll, { type: "task", taskId: effect.taskId, task });
        } else this.answer(effect.poll, { type: "none" });
        return;
      }
      case "fail":
        this.failSilent(name, effect).catch((error) => {
          this.running.get(effect.taskId)?.reject(error);
          this.running.delete(effect.taskId);
        });
    }
  }

  private async failSilent(name: string, effect: LedgerEffect & { type: "fail" }): Promise<void> {
    const stored = await this.ownTask(name, effect.taskId);
    if (!stored) return;
    const { code, message, started } = effect;
    const down = started ? bytesDown(stored) : 0;
    await this.settle(stored, { ok: false, code, message: `client ${name}: ${message}`, bytesUp: 0, bytesDown: down });
  }

  /** Looks at the clocks. */
  private tick(): void {
    const now = this.now();
    const stalledMs = now - this.lastTickMs - this.tickMs;
    this.lastTickMs = now;
    for (const name of this.members.keys()) {
      // A blocked event loop (a long solve, a suspended machine) wakes to the timer before it reads its sockets.
      if (stalledMs > this.tickMs) this.apply(name, { type: "stalled", ms: stalledMs });
      this.apply(name, { type: "tick" });
      this.noteAbsence(name, now);
    }
    this.wake();
  }

  /** Says once that a client was given up. */
  private noteAbsence(name: string, now: number): void {
    const member = this.members.get(name);
    if (!member?.seen || member.left || isLive(member.ledger, now, this.policy)) return;
    member.left = true;
    this.events.emit({ type: "client-left", client: name, reason: "no sign of life" });
  }

  private wake(): void {
    for (const look of [...this.waiters]) look();
  }

  private until(holds: () => boolean, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error?: KindredError) => {
        this.waiters.delete(look);
        signal?.removeEventListener("abort", stop);
        if (error) reject(error);
        else resolve();
      };
      const stop = () => end(new KindredError("cancelled", "stopped waiting for clients"));
      const look = () => {
        if (holds()) end();
        else if (this.closed || signal?.aborted) stop();
      };
      this.waiters.add(look);
      signal?.addEventListener("abort", stop, { once: true });
      look();
    });
  }
}

function newRunning(key: string, client: string, task: TaskSpec): Running {
  let resolve: (outcome: TaskOutcome) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const outcome = new Promise<TaskOutcome>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  outcome.catch(() => undefined); // a withdrawn task's rejection has no listener left
  return { key, client, task, outcome, resolve, reject, holders: 0, onProgress: new Set() };
}

function receiptOf(outcome: TaskOutcome): Receipt {
  return outcome.ok ? { accepted: true, reason: "" } : { accepted: false, reason: outcome.message };
}

function bytesDown({ id, task }: StoredTask): number {
  return taskBytes(id, task) + blobsOfTask(task).reduce((sum, ref) => sum + transferBytes(ref.size), 0);
}

function mustEqual(key: string, client: string, known: TaskSpec, given: TaskSpec): void {
  if (isDeepStrictEqual(JSON.parse(JSON.stringify(known)), JSON.parse(JSON.stringify(given)))) return;
  const message = `task ${key} of client ${client} was started with another specification: change the key, or start a new run`;
  throw new KindredError("internal", message, { key, client });
}
