/**
 * The one place that decides what happens where the state is in trouble. Trouble that may pass (a full disk) makes every call wait until
 * it has passed, in the calls' order; or ends the run, where nobody would wait. A blob that is lost is forgotten, so that the run makes
 * it again. The run sees none of it: its calls take longer. Clients' calls are answered at once, with the trouble as the reason.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { type Access, gatedState } from "./gated.js";
import { type StateTrouble, troubleForClients, troubleOf } from "./trouble.js";
import type { State } from "./types.js";

export interface GuardOptions {
  /** Whether calls wait for the end of a trouble that may pass. Otherwise the run is to end with it. */
  readonly waits: boolean;
  readonly log: Logger;
  /** Ends all waits. */
  readonly signal?: AbortSignal | undefined;
  /** Told when calls begin to wait, with the trouble, and when they go on. */
  readonly onPause?: (pause: Pause) => void;
  /** A monotonic clock, milliseconds. @default performance.now */
  readonly now?: () => number;
  /** @default real time */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

/** The run waits, or goes on. */
export type Pause =
  | { readonly paused: true; readonly trouble: StateTrouble; readonly message: string }
  | { readonly paused: false };

interface Waiting {
  readonly call: () => Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;
/** Trouble that begins again within this time is the same one: its waits go on growing, and it is told once. */
const SAME_MS = 30_000;
/** How often a lasting trouble is told again, at first; each time half as often. */
const FIRST_REMINDER_MS = 60_000;
const LONGEST_REMINDER_MS = 3_600_000;

export class StateGuard {
  /** The state, whose calls wait. */
  readonly state: State;
  private readonly waiting: Waiting[] = [];
  private readonly repairs = new Map<string, Promise<void>>();
  private readonly onTrouble = new Set<(error: KindredError) => void>();
  private readonly onRepair = new Set<() => void>();
  private readonly ending = new AbortController();
  private readonly now: () => number;
  private trouble: KindredError | undefined;
  private draining = false;
  private waitMs = FIRST_WAIT_MS;
  private since = 0;
  private toldAt = Number.NEGATIVE_INFINITY;
  private endedAt = Number.NEGATIVE_INFINITY;
  private reminderMs = FIRST_REMINDER_MS;

  constructor(
    private readonly inner: State,
    private readonly options: GuardOptions,
  ) {
    this.now = options.now ?? (() => performance.now());
    this.state = gatedState(inner, (access, call) => this.pass(access, call));
    if (options.signal?.aborted) this.stopWaiting();
    options.signal?.addEventListener("abort", this.stopWaiting, { once: true });
  }

  /** Whether calls wait. */
  get paused(): boolean {
    return this.trouble !== undefined;
  }

  /** Fires, with a KindredError as its reason, where the run cannot go on with this state. */
  get failed(): AbortSignal {
    return this.ending.signal;
  }

  /** Makes another write of the coordinator's own as one of the state's: it waits where the disk is in trouble. */
  write<T>(call: () => Promise<T>): Promise<T> {
    return this.pass("write", call);
  }

  /**
   * Answers a client's call, whose work is done on the state. Rejects as soon as there is trouble: the client asks again, and the work
   * under way is finished for it when the trouble has passed.
   */
  answer<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const refuse = (error: KindredError): void => reject(troubleForClients(error));
      if (this.trouble !== undefined) return refuse(this.trouble);
      this.onTrouble.add(refuse);
      const done = async (): Promise<T> => work();
      done()
        .then(resolve, (error: unknown) => reject(troubleOf(error) ? troubleForClients(error as KindredError) : error))
        .finally(() => this.onTrouble.delete(refuse));
    });
  }

  /** Calls back when something of the state was forgotten, so that the run must go through its steps again. @returns ends it */
  watchRepairs(listener: () => void): () => void {
    this.onRepair.add(listener);
    return () => void this.onRepair.delete(listener);
  }

  private async pass<T>(access: Access, call: () => Promise<T>): Promise<T> {
    // What can still be read is read; writes keep their order.
    if (access === "read" || this.waiting.length === 0) {
      try {
        return await call();
      } catch (error) {
        if (!this.mayPass(error)) {
          await this.repaired(error);
          throw error;
        }
      }
    }
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ call, resolve: resolve as (value: unknown) => void, reject });
      void this.drain();
    });
  }

  /** Deals with an error of the state. @returns whether the call is to be made again later */
  private mayPass(error: unknown): boolean {
    const trouble = troubleOf(error);
    if (trouble === undefined || trouble === "blob") return false;
    const known = error as KindredError;
    if (trouble === "database" || !this.options.waits) {
      this.fail(known);
      return false;
    }
    if (this.options.signal?.aborted) return false;
    this.begin(trouble, known);
    return true;
  }

  /** Makes the waiting calls again, one after the other, until all have been made. */
  private async drain(): Promise<void> {
    if (this.draining) return;
    this.draining = true;
    let failed = true;
    for (let head = this.waiting[0]; head !== undefined; head = this.waiting[0]) {
      if (failed) await this.pauseBefore();
      if (this.waiting[0] !== head) continue; // all were ended meanwhile
      try {
        const value = await head.call();
        failed = false;
        this.waiting.shift();
        head.resolve(value);
      } catch (error) {
        failed = this.mayPass(error);
        if (failed) continue;
        this.waiting.shift();
        // Not waited for: to forget a blob is a call that waits behind this one.
        this.repaired(error).then(() => head.reject(error), head.reject);
      }
    }
    this.draining = false;
    this.end();
  }

  private async pauseBefore(): Promise<void> {
    const { signal, sleep: pause = (ms, stop) => sleep(ms, undefined, { signal: stop }) } = this.options;
    // Stopped: `stopWaiting` has emptied the list.
    await pause(this.waitMs, signal ?? new AbortController().signal).catch(() => undefined);
    this.waitMs = Math.min(LONGEST_WAIT_MS, 2 * this.waitMs);
  }

  private begin(trouble: StateTrouble, error: KindredError): void {
    const now = this.now();
    const { log, onPause } = this.options;
    const begins = this.trouble === undefined;
    this.trouble = error;
    if (begins) {
      for (const refuse of [...this.onTrouble]) refuse(error);
      if (now - this.endedAt <= SAME_MS) return;
      this.waitMs = FIRST_WAIT_MS;
      this.reminderMs = FIRST_REMINDER_MS;
      this.since = now;
      this.toldAt = now;
      log.warn("the run waits: trouble of the coordinator's own, and no client's fault", { reason: error.message });
      onPause?.({ paused: true, trouble, message: error.message });
    } else if (now - this.toldAt >= this.reminderMs) {
      this.toldAt = now;
      this.reminderMs = Math.min(LONGEST_REMINDER_MS, 2 * this.reminderMs);
      log.warn("the run still waits", { reason: error.message, seconds: Math.round((now - this.since) / 1000) });
    }
  }

  private end(): void {
    if (this.trouble === undefined) return;
    this.trouble = undefined;
    const now = this.now();
    const same = now - this.endedAt <= SAME_MS;
    this.endedAt = now;
    if (same || this.options.signal?.aborted) return;
    this.options.log.info("the run goes on", { seconds: Math.round((now - this.since) / 1000) });
    this.options.onPause?.({ paused: false });
  }

  private fail(error: KindredError): void {
    if (!this.ending.signal.aborted) this.ending.abort(error);
  }

  /** Forgets what names a blob, where the error says that it is lost. Once: other readers of the blob wait for it. */
  private async repaired(error: unknown): Promise<void> {
    if (!(error instanceof KindredError) || troubleOf(error) !== "blob") return;
    const ref = { sha256: String(error.facts.sha256), size: Number(error.facts.size) };
    const known = this.repairs.get(ref.sha256);
    if (known !== undefined) return known;
    const repair = this.forget(ref, error).finally(() => this.repairs.delete(ref.sha256));
    this.repairs.set(ref.sha256, repair);
    return repair;
  }

  private async forget(ref: BlobRef, error: KindredError): Promise<void> {
    const forgotten = await this.pass("write", () => this.inner.records.forgetBlob(ref));
    // Nothing names it any longer: the run is on its way to make it again.
    if (forgotten === 0) return;
    this.options.log.warn("a part of the state is lost, and is asked for or made again; no client's fault", {
      reason: error.message,
    });
    for (const listener of [...this.onRepair]) listener();
  }

  private readonly stopWaiting = (): void => {
    for (const { reject } of this.waiting.splice(0)) reject(new KindredError("cancelled", "stopped"));
  };
}
