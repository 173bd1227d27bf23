/**
 * The results of tasks: checks them against stored tasks and uploads, and stores each outcome once. It knows nothing of sessions, ledgers
 * or waiting callers.
 */
import { isDeepStrictEqual } from "node:util";
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import { MAX_UPLOADS_PER_TASK } from "../../shared/wire/limits.js";
import { transferBytes } from "../../shared/wire/services.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { checkAnswers, taskBytes } from "../../tasks/envelope.js";
import { blobsOfResult, blobsOfTask, type TaskResult } from "../../tasks/kinds.js";
import type { EventSink } from "../events/events.js";
import type { Blobs, Records, StoredTask, TaskOutcome } from "../storage/types.js";
import type { LedgerEffect } from "./ledger.js";

export interface Receipt {
  readonly accepted: boolean;
  readonly reason: string;
}

export interface ResultsOptions {
  readonly records: Records;
  readonly blobs: Blobs;
  readonly events: EventSink;
  readonly isWithdrawn: (taskId: string) => boolean;
  /** Called after an outcome is stored, also where it was stored before. */
  readonly onSettled: (task: StoredTask, outcome: TaskOutcome) => void;
}

export class Results {
  constructor(private readonly options: ResultsOptions) {}

  /** Whether the task is the client's and has no outcome yet. */
  async isOpen(client: string, taskId: string): Promise<boolean> {
    const stored = await this.taskOf(client, taskId);
    return stored !== undefined && stored.outcome === undefined;
  }

  /**
   * Takes a result. @param messageBytes size of the result on the wire
   * @param read decodes the result. It is called for an open task of the client alone: decoding a hostile message of 2 MB blocks the event
   *   loop for 0.7 s
   * @throws {KindredError} `not_found` where one of its blobs is not uploaded; what `read` throws
   */
  async report(client: string, taskId: string, read: () => TaskResult, messageBytes: number): Promise<Receipt> {
    const stored = await this.taskOf(client, taskId);
    if (!stored) return UNKNOWN_TASK;
    if (stored.outcome) return receiptOf(stored.outcome);
    const result = read();
    try {
      checkAnswers(stored.task, result);
    } catch (error) {
      if (!(error instanceof KindredError)) throw error;
      return this.fail(client, taskId, error.code, `its result cannot be used: ${error.message}`);
    }
    for (const ref of blobsOfResult(result)) {
      if (await this.options.records.isUploaded(taskId, ref)) continue;
      const message = `blob ${ref.sha256} of the result is not uploaded for the task: upload it, then report`;
      throw new KindredError("not_found", message, { what: "blob", sha256: ref.sha256 });
    }
    const blobs = blobsOfResult(result).reduce((sum, ref) => sum + transferBytes(ref.size), 0);
    return this.settle(stored, { ok: true, result, bytesUp: messageBytes + blobs, bytesDown: bytesDown(stored) });
  }

  /** Takes a failure reported by the client, or found by the server in the client's result. */
  async fail(client: string, taskId: string, code: ErrorCode, message: string): Promise<Receipt> {
    const stored = await this.taskOf(client, taskId);
    // A client may fail because its task was withdrawn: a blob that it needed is being made again.
    if (!stored || (stored.outcome === undefined && this.options.isWithdrawn(taskId))) return UNKNOWN_TASK;
    const outcome = failureOf(client, { code, message }, bytesDown(stored));
    // A repeated report of the same failure gets the same receipt: the first one may have been lost.
    if (stored.outcome && !isDeepStrictEqual(stored.outcome, outcome)) return receiptOf(stored.outcome);
    if (!stored.outcome) await this.settle(stored, outcome);
    return { accepted: code !== "invalid_message", reason: code === "invalid_message" ? message : "" };
  }

  /** Stores the failure of a client that is silent or makes no progress. */
  async failByLedger(client: string, failure: LedgerEffect & { type: "fail" }): Promise<void> {
    const stored = await this.taskOf(client, failure.taskId);
    if (!stored) return;
    await this.settle(stored, failureOf(client, failure, failure.started ? bytesDown(stored) : 0));
  }

  /** @throws {KindredError} `not_found` unless the client's open task names this blob */
  async checkDownload(client: string, taskId: string, ref: BlobRef): Promise<void> {
    const stored = await this.openTask(client, taskId);
    const named = blobsOfTask(stored.task).some((blob) => blob.sha256 === ref.sha256 && blob.size === ref.size);
    if (!named) throw new KindredError("not_found", `task ${taskId} does not name blob ${ref.sha256}`, { taskId });
  }

  /**
   * @throws {KindredError} `not_found` unless the client has this open task, `too_large` beyond the limit of uploads, `invalid_message`
   *   where the task announced the blob with another size
   */
  async checkUpload(client: string, taskId: string, ref: BlobRef): Promise<void> {
    await this.openTask(client, taskId);
    if (await this.options.records.announceUpload(taskId, ref, MAX_UPLOADS_PER_TASK)) return;
    const message = `task ${taskId} has announced ${MAX_UPLOADS_PER_TASK} blobs, the most that one may`;
    throw new KindredError("too_large", message, { taskId, limit: MAX_UPLOADS_PER_TASK });
  }

  private async taskOf(client: string, taskId: string): Promise<StoredTask | undefined> {
    const stored = await this.options.records.task(taskId);
    return stored?.client === client ? stored : undefined;
  }

  private async openTask(client: string, taskId: string): Promise<StoredTask> {
    const stored = await this.taskOf(client, taskId);
    if (stored && stored.outcome === undefined && !this.options.isWithdrawn(taskId)) return stored;
    const why = stored ? "is settled or withdrawn" : "is not known as a task of this client";
    throw new KindredError("not_found", `task ${taskId} ${why}`, { taskId, what: "task" });
  }

  private async settle(task: StoredTask, outcome: TaskOutcome): Promise<Receipt> {
    const { records, blobs, events, onSettled } = this.options;
    const first = await records.settleTask(task.id, outcome);
    const final = first ? outcome : ((await records.task(task.id))?.outcome ?? outcome);
    if (first) {
      const fields = { client: task.client, kind: task.task.kind, task: task.key };
      if (final.ok) {
        const { bytesUp, bytesDown, result } = final;
        events.emit({ type: "task-done", ...fields, bytesUp, bytesDown, flops: result.cost.flops });
      } else events.emit({ type: "task-failed", ...fields, code: final.code, message: final.message });
      await blobs.dropUnfinished(task.id);
    }
    onSettled(task, final);
    return receiptOf(final);
  }
}

const UNKNOWN_TASK: Receipt = { accepted: false, reason: "no such task of this client" };

function failureOf(
  client: string,
  { code, message }: { readonly code: ErrorCode; readonly message: string },
  bytesDown: number,
): TaskOutcome {
  return { ok: false, code, message: `client ${client}: ${message}`, bytesUp: 0, bytesDown };
}

function receiptOf(outcome: TaskOutcome): Receipt {
  return outcome.ok ? { accepted: true, reason: "" } : { accepted: false, reason: outcome.message };
}

function bytesDown({ id, task }: StoredTask): number {
  return taskBytes(id, task) + blobsOfTask(task).reduce((sum, ref) => sum + transferBytes(ref.size), 0);
}
