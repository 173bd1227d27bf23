/**
 * What the coordinator keeps: records (clients, tasks with their outcomes, uploads, memos of the journal, events) and blobs.
 * When the promise of a writing method resolves, the written value survives the death of the process. Outcomes, memos and
 * blobs survive the death of the machine as well.
 *
 * Every method throws `state_unavailable` where the place of the state is in trouble: a full disk, a damaged file. Nothing has changed
 * then, and the same call may be made again.
 */
import type { ErrorCode } from "../../shared/base/errors.js";
import type { Amount } from "../../shared/base/remove.js";
import type { BlobRef, ModelIdentity, RowCounts } from "../../shared/wire/types.js";
import type { TaskResult, TaskSpec } from "../../tasks/kinds.js";

export interface StoredClient {
  readonly name: string;
  /** SHA-256 of the secret by which an installation of the client is known again. */
  readonly instanceHash: string;
  /** SHA-256 of the present session's token. */
  readonly tokenHash: string;
  readonly identity: ModelIdentity;
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

export interface StoredEvent {
  /** Position in the stream, from 1. Given by the store; ignored in `appendEvents`. */
  readonly seq?: number;
  /** Names the event within the run, so that a resumed run's second telling of it is ignored. */
  readonly key: string;
  /** Unix time in milliseconds. */
  readonly at: number;
  readonly json: string;
}

export interface Records {
  clients(): Promise<StoredClient[]>;
  /** Adds a client or replaces the one of this name. */
  saveClient(client: StoredClient): Promise<void>;

  task(id: string): Promise<StoredTask | undefined>;
  addTask(task: Omit<StoredTask, "outcome">): Promise<void>;
  /** Writes the outcome unless there is one. Returns whether it did. */
  settleTask(id: string, outcome: TaskOutcome): Promise<boolean>;

  /**
   * Notes that a task's client wants to send this blob, unless it has announced `most` others for the task.
   * @returns whether the blob is noted
   * @throws {KindredError} `invalid_message` where it announced the same content with another size: each size would be one more file
   */
  announceUpload(taskId: string, ref: BlobRef, most: number): Promise<boolean>;
  completeUpload(taskId: string, ref: BlobRef): Promise<void>;
  /** Has this task's client sent the whole blob? */
  isUploaded(taskId: string, ref: BlobRef): Promise<boolean>;

  /** The JSON stored under the key. */
  memo(key: string): Promise<string | undefined>;
  saveMemo(key: string, json: string): Promise<void>;

  /**
   * Forgets every outcome, finished upload and memo that names the blob, whose content is lost: the run asks for it, or makes it, again.
   * @returns how many there were
   */
  forgetBlob(ref: BlobRef): Promise<number>;

  /**
   * Adds events at the end of the stream, in the order given. An event whose key is stored already is ignored. Does not wait
   * for the disk: the death of the machine may take the events since the last outcome or memo.
   */
  appendEvents(events: readonly StoredEvent[]): Promise<void>;
  /**
   * The events from position `from` on, in order; `seq` is set and grows by one from event to event.
   * @param from position of the first event wanted, from 1
   * @param limit most events returned. @default all
   */
  events(from: number, limit?: number): Promise<StoredEvent[]>;
}

/** What reads records without changing anything. */
export type RecordReader = Pick<Records, "clients" | "task" | "isUploaded" | "memo" | "events">;

/** The right to be the coordinator of a run. One process holds it at a time; it ends with the process. */
export interface Lease {
  /** Gives the right back. Does nothing the second time. */
  release(): Promise<void>;
}

/** A run's state, to write. Its lease is held until `close`. */
export interface State {
  readonly records: Records;
  readonly blobs: Blobs;
  close(): Promise<void>;
}

/** A run's state, to read. */
export interface StateReader {
  readonly records: RecordReader;
  readonly blobs: BlobReader;
  /** Whether its place takes further bytes, as far as that can be known. */
  hasRoom(): Promise<boolean>;
  close(): Promise<void>;
}

/** The removal of a state that no coordinator holds. */
export interface StateRemoval {
  /** Absolute. */
  readonly folder: string;
  /** What would be removed. */
  measure(): Promise<Amount>;
  /**
   * Removes it, and leaves what else is in the folder.
   * @returns what that was
   * @throws {KindredError} `invalid_option` where a coordinator has taken the state since
   */
  remove(): Promise<Amount>;
}

/** A kind of place for states; see `openState` and `readState` for what both do. */
export interface Scheme {
  open(url: string): Promise<State>;
  read(url: string): Promise<StateReader>;
  inUse(url: string): Promise<boolean>;
  /** Absent in a scheme whose states go with their process. */
  removal?(url: string, also: readonly string[]): Promise<StateRemoval>;
  /** The folder that keeps the state; absent in a scheme that has none. */
  folder?(url: string): string;
}

export interface Blobs {
  /** Stores bytes; the same bytes again are a no-op. */
  put(bytes: Uint8Array): Promise<BlobRef>;
  /** Begins a blob whose length and content are not known yet. */
  write(): Promise<BlobWriter>;
  get(ref: BlobRef): Promise<Uint8Array>;
  has(ref: BlobRef): Promise<boolean>;
  /**
   * `length` bytes from `offset`, newly allocated. The blob's hash is checked before its first use, not with each range, so that this
   * is cheap enough to be called for each tensor of a file.
   * @throws {KindredError} `invalid_option` where the range is not within the blob
   */
  range(ref: BlobRef, offset: number, length: number): Promise<Buffer>;
  /** As `range`, into bytes of the caller: a buffer that serves many reads leaves nothing to the garbage collector. */
  readInto(ref: BlobRef, offset: number, target: Uint8Array): Promise<void>;
  /** The blob's bytes from `offset` in pieces of `pieceBytes`, the last shorter. */
  read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined>;
  /** Bytes held of an unfinished upload. Ends a write that is still open under the same name. */
  held(taskId: string, ref: BlobRef): Promise<number>;
  /** Opens an upload where it stopped. Ends a write that is still open under the same name. */
  receive(taskId: string, ref: BlobRef): Promise<IncomingBlob>;
  /** Deletes a blob; one that is not there is a no-op. Nothing may read it any longer. */
  remove(ref: BlobRef): Promise<void>;
  /** Deletes what a task left unfinished. */
  dropUnfinished(taskId: string): Promise<void>;
}

/** What reads blobs without changing anything. */
export type BlobReader = Pick<Blobs, "get" | "has" | "range" | "read">;

/** A blob of unknown length that is being written. Calls must not overlap. */
export interface BlobWriter {
  append(bytes: Uint8Array): Promise<void>;
  /** Makes the blob durable; the same bytes again are a no-op. */
  finish(): Promise<BlobRef>;
  /** Drops the bytes. Does nothing after `abort` or a `finish` that succeeded, so that it can stand in a `finally`. */
  abort(): Promise<void>;
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
