/**
 * A client's life: enrol, pull a task, run it, report, again, until the coordinator says that the run is over. Survives lost
 * connections and restarts of the coordinator. It knows nothing of what tasks do: a `TaskRunner` does them.
 */
import { join } from "node:path";
import { asKindredError, type ErrorCode, KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { Task__Output } from "../../shared/wire/gen/kindred/v1/Task.js";
import { DEFAULT_MAX_BLOB_BYTES, LONGEST_WAIT_MS, PROTOCOL_VERSION } from "../../shared/wire/limits.js";
import { channelCredentials, type SecurityOptions } from "../../shared/wire/security.js";
import type { BlobRef, ModelIdentity, RowCounts } from "../../shared/wire/types.js";
import { decodeTask } from "../../tasks/envelope.js";
import type { TaskSpec, UnsentResult } from "../../tasks/kinds.js";
import { Connection } from "../outbox/connection.js";
import { FolderMemory, type Memory, ProcessMemory } from "../outbox/memory.js";
import { connectionMistake } from "../outbox/probe.js";
import { type Receipt, sendFailure, sendResult } from "../outbox/results.js";
import { pause, type RetryOptions, retrying } from "../outbox/retry.js";
import { ABILITIES } from "../outbox/transforms/chain.js";
import { ConnectionDoubt } from "./doubt.js";
import { downloadBlob } from "./download.js";
import { instanceId } from "./instance.js";
import { onceThereIsRoom } from "./room.js";

/** What a task may use while it runs. */
export interface TaskIo {
  /** The bytes of a blob that the task names. Fetched once a task, however often it is asked for. */
  download(ref: BlobRef): Promise<Uint8Array>;
  /** Fires when the result is no longer wanted, or the client stops. */
  readonly signal: AbortSignal;
  /** Says how far the task is, 0 .. 1. Cheap: it is sent with the next heartbeat. */
  progress(fraction: number): void;
}

export interface TaskRunner {
  /** Does a task. An error it throws fails this task alone; a KindredError keeps its code. */
  run(task: TaskSpec, io: TaskIo): Promise<UnsentResult>;
  /** Told when a task's result has left. @param bytes of its blobs */
  sent?(task: TaskSpec, bytes: number): void;
}

export interface SessionOptions {
  /** HOST:PORT */
  readonly coordinator: string;
  readonly security?: SecurityOptions;
  readonly name: string;
  readonly identity: ModelIdentity;
  readonly rows: RowCounts;
  readonly runner: TaskRunner;
  /** Keeps the client's identity, so that it may come back under its name at once, and the errors that its updates carry over. */
  readonly stateDir?: string;
  /** The identity itself, 16 .. 200 characters, instead of one kept in `stateDir`. */
  readonly instanceId?: string;
  readonly signal?: AbortSignal;
  /** Whether an error of a task ends the session, instead of failing the task. @default none does; a full disk is waited for */
  readonly endsWith?: (error: unknown) => boolean;
  readonly log: Logger;
  /** Own TCP connection even where other clients of the process dial the same address. @default false */
  readonly ownConnection?: boolean;
  /** Largest blob taken from the coordinator. @default 4 GiB */
  readonly maxBlobBytes?: number;
}

/** Beyond 2^31 milliseconds a timer fires every millisecond; a heartbeat is also how a client learns that a task is withdrawn. */
const LONGEST_HEARTBEAT_MS = 60_000;

/** What is said once when a client begins to wait. */
const WAITS: Readonly<Partial<Record<ErrorCode, string>>> = {
  unavailable: "coordinator is away, trying again until it is back",
  state_unavailable: "coordinator has trouble of its own, waiting until it goes on",
};

/** How the run ended, in the coordinator's words. */
export interface RunEnd {
  /** False: the run was given up. */
  readonly finished: boolean;
  readonly reason: string;
}

/** An answer that comes sooner than this, and is none, is followed by a pause, so that no fault makes a busy loop. */
const HASTY_MS = 50;

/**
 * Works for a coordinator until its run is over.
 * @throws {KindredError} `name_taken`, `protocol_mismatch`, `model_mismatch`, `insecure`, `invalid_option`, `cancelled`
 */
export async function runSession(options: SessionOptions): Promise<RunEnd> {
  const session = new Session(options);
  try {
    return await session.run();
  } finally {
    session.close();
  }
}

class Session {
  private readonly stop = new AbortController();
  private readonly connection: Connection;
  private readonly instance: string;
  private readonly retry: RetryOptions;
  private readonly log: Logger;
  private readonly memory: Memory;
  private readonly doubt: ConnectionDoubt;
  private readonly onAbort = () => this.stop.abort();
  private heartbeatMs = 1_000;
  private waitMs = 1_000;
  /** Why calls to the coordinator are made again. */
  private waitsFor: ErrorCode | undefined;

  constructor(private readonly options: SessionOptions) {
    this.log = options.log.child({ client: options.name });
    this.instance = options.instanceId ?? instanceId(options.stateDir);
    this.memory =
      options.stateDir === undefined
        ? new ProcessMemory(this.log)
        : new FolderMemory(join(options.stateDir, "carried"), this.log);
    const address = options.coordinator;
    const credentials = channelCredentials(address, options.security);
    const ownConnection = options.ownConnection ?? false;
    this.connection = new Connection({ address, credentials, signal: this.stop.signal, ownConnection });
    this.doubt = new ConnectionDoubt({
      find: () => connectionMistake(address, options.security ?? {}, this.stop.signal),
      address,
      log: this.log,
    });
    this.retry = {
      signal: this.stop.signal,
      random: Math.random,
      onRetry: (error, attempt, waitMs) => this.noteRetry(error, attempt, waitMs),
      examine: (error, attempt) => this.doubt.examine(error, attempt),
    };
    if (options.signal?.aborted) this.stop.abort();
    options.signal?.addEventListener("abort", this.onAbort, { once: true });
  }

  close(): void {
    this.options.signal?.removeEventListener("abort", this.onAbort);
    this.stop.abort();
    this.connection.close();
  }

  async run(): Promise<RunEnd> {
    await this.enrol();
    for (;;) {
      const began = performance.now();
      const next = await this.enrolled(() => retrying(() => this.connection.nextTask(this.waitMs), this.retry));
      this.noteAnswer();
      if (next.over) {
        const { finished, reason } = next.over;
        this.log.debug("run is over", { finished, reason });
        return { finished, reason };
      }
      if (next.task) await this.work(next.task);
      else if (performance.now() - began < HASTY_MS) await pause(HASTY_MS, this.stop.signal);
    }
  }

  private async enrol(): Promise<void> {
    const { name, identity, rows } = this.options;
    const request = {
      protocolVersion: PROTOCOL_VERSION,
      clientName: name,
      instanceId: this.instance,
      ...identity,
      chatTemplateHash: identity.chatTemplateHash ?? "",
      endOfFreeAnswers: identity.endOfFreeAnswers ?? "",
      endOfOtherRows: identity.endOfOtherRows ?? "",
      rows: { ...rows },
      transforms: ABILITIES,
    };
    const reply = await retrying(() => this.connection.enrol(request), this.retry);
    this.doubt.connected();
    this.noteAnswer();
    this.connection.sessionToken = reply.sessionToken;
    this.heartbeatMs = Math.max(1, Math.min(reply.heartbeatMs, LONGEST_HEARTBEAT_MS));
    this.waitMs = Math.max(1, Math.min(reply.longestWaitMs, LONGEST_WAIT_MS));
    const { train, validation, test } = rows;
    const sizes = { trainingRows: train, validationRows: validation, testRows: test };
    this.log.info("enrolled", { coordinator: this.options.coordinator, ...sizes });
  }

  private noteAnswer(): void {
    if (this.waitsFor === undefined) return;
    this.waitsFor = undefined;
    this.log.info("coordinator is back");
  }

  /** Makes a call; where the coordinator has lost the session, enrols and makes it again. */
  private async enrolled<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof KindredError) || error.code !== "not_found" || error.facts.what !== "session") throw error;
      this.log.info("session is not known any more, enrolling again");
      await this.enrol();
      return call();
    }
  }

  private async work(message: Task__Output): Promise<void> {
    const { taskId } = message;
    const ended = new AbortController();
    const signal = AbortSignal.any([this.stop.signal, ended.signal]);
    const began = performance.now();
    let receipt: Receipt;
    let kind = "unknown";
    let fraction = 0;
    let fatal: KindredError | undefined;
    let beating = false;
    const beat = async () => {
      // A coordinator that does not answer is asked once at a time.
      if (beating) return;
      beating = true;
      try {
        const { wanted } = await this.connection.reportProgress({ taskId, fraction });
        if (!wanted) ended.abort();
      } catch (error) {
        const { code, message } = asKindredError(error);
        if (code === "name_taken") {
          fatal = asKindredError(error);
          ended.abort();
        }
        // Whatever else fails here is met again, and dealt with, by the call that reports the result.
        this.log.debug("heartbeat failed", { task: taskId, code, reason: message });
      } finally {
        beating = false;
      }
    };
    const heart = setInterval(beat, this.heartbeatMs);
    try {
      const retry = { ...this.retry, signal };
      try {
        const { task } = decodeTask(message);
        kind = task.kind;
        const result = await this.withRoom(signal, () =>
          this.execute(taskId, task, signal, (share) => {
            if (share > fraction) fraction = Math.min(1, share);
          }),
        );
        if (signal.aborted) throw new KindredError("cancelled", "stopped");
        const sent = await this.enrolled(() =>
          this.withRoom(signal, () =>
            sendResult(this.connection, { taskId, task }, result, { retry, memory: this.memory }),
          ),
        );
        this.options.runner.sent?.(task, sent.bytes);
        receipt = sent;
      } catch (thrown) {
        if (this.stop.signal.aborted) throw new KindredError("cancelled", "stopped", {}, thrown);
        if (fatal) throw fatal;
        const error = asKindredError(thrown);
        if (ended.signal.aborted) {
          this.log.info("task is no longer wanted", { task: taskId, kind });
          return;
        }
        if (error.code === "name_taken" || this.options.endsWith?.(thrown)) throw error;
        // Its task is settled or withdrawn: there is nothing to report.
        if (error.code === "not_found" && error.facts.what === "task") {
          this.log.info("task is no longer wanted", { task: taskId, kind });
          return;
        }
        this.log.error("task failed", { task: taskId, kind, code: error.code, reason: error.message });
        receipt = await this.enrolled(() => sendFailure(this.connection, taskId, error, retry));
        return;
      }
    } finally {
      clearInterval(heart);
    }
    const ms = Math.round(performance.now() - began);
    if (receipt.accepted) this.log.debug("task done", { task: taskId, kind, ms });
    else this.log.warn("result was not taken", { task: taskId, kind, reason: receipt.reason });
  }

  private withRoom<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return this.options.endsWith === undefined ? onceThereIsRoom(work, { log: this.log, signal }) : work();
  }

  private execute(
    taskId: string,
    task: TaskSpec,
    signal: AbortSignal,
    progress: (fraction: number) => void,
  ): Promise<UnsentResult> {
    const fetched = new Map<string, Promise<Uint8Array>>();
    const maxBlobBytes = this.options.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES;
    const retry = { ...this.retry, signal };
    const download = (ref: BlobRef): Promise<Uint8Array> => {
      let bytes = fetched.get(ref.sha256);
      if (!bytes) {
        bytes = this.enrolled(() => downloadBlob(this.connection, taskId, ref, maxBlobBytes, retry));
        fetched.set(ref.sha256, bytes);
      }
      return bytes;
    };
    return this.options.runner.run(task, { download, signal, progress });
  }

  private noteRetry(error: KindredError, attempt: number, waitMs: number): void {
    const fields = { code: error.code, reason: error.message, attempt, waitMs: Math.round(waitMs) };
    const said = WAITS[error.code];
    if (said !== undefined && this.waitsFor !== error.code) {
      this.waitsFor = error.code;
      this.log.warn(said, fields);
    } else this.log.debug("trying again", fields);
  }
}
