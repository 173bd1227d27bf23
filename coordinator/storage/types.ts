/**
 * What the coordinator keeps: clients, tasks with their outcomes, memos of the pipeline, and blobs. When a promise of a
 * writing method resolves, what it wrote survives the death of the process; outcomes, memos and blobs that of the machine as
 * well. It knows no decisions.
 */
import type { ErrorCode } from "../../shared/base/errors.js";
import type { BlobRef, RowCounts, TaskResult, TaskSpec } from "../../shared/wire/tasks.js";

export interface StoredClient {
  readonly name: string;
  /** SHA-256 of the secret by which an installation of the client is known again. */
  readonly instanceHash: string;
  /** SHA-256 of the present session's token. */
  readonly tokenHash: string;
  readonly modelHash: string;
  readonly rows: RowCounts;
}

/** How a task ended, with the bytes it took on the wire, each message and blob counted once (see `TaskBytes`). */
export type TaskOutcome<R extends TaskResult = TaskResult> = (
  | { readonly ok: true; readonly result: R }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string }
) &
  TaskBytes;

/**
 * Bytes of the task's own messages and blobs as if sent once: a cut, a resumed upload or a restart does not change them, so
 * that a resumed run reports what an uninterrupted one does. Polls and heartbeats are in the server's `Traffic` alone.
 */
export interface TaskBytes {
  /** From the client. */
  readonly bytesUp: number;
  /** To the client. */
  readonly bytesDown: number;
}

export interface StoredTask {
  readonly id: string;
  readonly key: string;
  readonly client: string;
  readonly task: TaskSpec;
  /** Absent while unsettled. */
  readonly outcome?: TaskOutcome;
}

export interface Store {
  readonly blobs: BlobStore;

  clients(): Promise<StoredClient[]>;
  /** Adds a client or replaces the one of this name. */
  saveClient(client: StoredClient): Promise<void>;

  task(id: string): Promise<StoredTask | undefined>;
  addTask(task: Omit<StoredTask, "outcome">): Promise<void>;
  /** Writes the outcome unless there is one. Returns whether it did. */
  settleTask(id: string, outcome: TaskOutcome): Promise<boolean>;

  /** Notes that a task's client wants to send this blob. Returns how many distinct blobs it announced for the task. */
  announceUpload(taskId: string, ref: BlobRef): Promise<number>;
  completeUpload(taskId: string, ref: BlobRef): Promise<void>;
  /** Has this task's client sent the whole blob? */
  isUploaded(taskId: string, ref: BlobRef): Promise<boolean>;

  /** The JSON stored under the key. */
  memo(key: string): Promise<string | undefined>;
  saveMemo(key: string, json: string): Promise<void>;

  close(): Promise<void>;
}

export interface BlobStore {
  /** Stores bytes; the same bytes again are a no-op. */
  put(bytes: Uint8Array): Promise<BlobRef>;
  /** @throws {KindredError} `not_found`, `checksum_mismatch` */
  get(ref: BlobRef): Promise<Uint8Array>;
  has(ref: BlobRef): Promise<boolean>;
  /** The blob's bytes from `offset` in pieces of `pieceBytes`, the last shorter. @throws {KindredError} `not_found` */
  read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined>;
  /** Bytes held of an unfinished upload. Ends a write that is still open under the same name. */
  held(taskId: string, ref: BlobRef): Promise<number>;
  /** Opens an upload where it stopped. Ends a write that is still open under the same name. */
  receive(taskId: string, ref: BlobRef): Promise<IncomingBlob>;
  /** Deletes what a task left unfinished. */
  dropUnfinished(taskId: string): Promise<void>;
}

/** A blob that is arriving. Calls must not overlap. */
export interface IncomingBlob {
  /** Bytes held. */
  readonly held: number;
  /** Appends at `held`. @throws {KindredError} `too_large` beyond the size, `cancelled` where a later upload took over */
  append(bytes: Uint8Array): Promise<void>;
  /**
   * Checks size and content, and makes the blob durable.
   * @throws {KindredError} `unavailable` while bytes are missing (what arrived is kept), `checksum_mismatch` (nothing is)
   */
  finish(): Promise<void>;
  /** Keeps what arrived for a later upload. */
  suspend(): Promise<void>;
}
