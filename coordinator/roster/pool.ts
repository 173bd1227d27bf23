/** The interface of the clients to a run: names, tasks by key, outcomes, blobs; without sessions, leases or connections. */
import type { BlobRef, RowCounts } from "../../shared/wire/types.js";
import type { ResultFor, TaskSpec } from "../../tasks/kinds.js";
import type { Blobs, TaskOutcome } from "../storage/types.js";

export type { TaskOutcome } from "../storage/types.js";

export interface ClientInfo {
  readonly name: string;
  readonly modelHash: string;
  readonly rows: RowCounts;
  /** Heard from lately. */
  readonly live: boolean;
}

export interface RunTaskOptions {
  /** The task fails after this time without growing progress, from its start on. 0: never. @default 1_800_000 */
  readonly deadlineMs?: number;
  /** Withdraws the task: `run` rejects with `cancelled`, nothing is stored, and the client stops its work. */
  readonly signal?: AbortSignal;
  /** The client's progress, 0 .. 1. */
  readonly onProgress?: (fraction: number) => void;
}

export interface FinishOptions {
  /** False: the run was abandoned. @default true */
  readonly finished?: boolean;
  /** Longest wait for clients to ask and learn it, milliseconds. @default 10_000 */
  readonly lingerMs?: number;
}

export interface ClientPool {
  /** All enrolled clients by name, those of earlier processes on the same state included. */
  clients(): Promise<ClientInfo[]>;

  /** Resolves once `min` clients are enrolled. @throws {KindredError} `cancelled` */
  whenEnrolled(min: number, signal?: AbortSignal): Promise<ClientInfo[]>;

  /**
   * Runs a task on a client. Idempotent by (client, key): the outcome, failures included, is stored and returned at once
   * when requested again, also by a restarted coordinator; a second caller of a running task waits for the same outcome. A client's
   * failure is an outcome, not an exception.
   * @throws {KindredError} `invalid_option` for a task that cannot be sent, `internal` for a key used with another task,
   * `cancelled`
   */
  run<T extends TaskSpec>(
    key: string,
    client: string,
    task: T,
    options?: RunTaskOptions,
  ): Promise<TaskOutcome<ResultFor<T>>>;

  /** Tells the clients that ask within the linger time that the run is over. */
  finish(reason: string, options?: FinishOptions): Promise<void>;

  /** Reads and writes blobs in pieces, and removes them. */
  readonly blobs: Pick<Blobs, "range" | "readInto" | "write" | "has" | "remove">;

  putBlob(bytes: Uint8Array): Promise<BlobRef>;
  /** @throws {KindredError} `not_found`, `checksum_mismatch` */
  getBlob(ref: BlobRef): Promise<Uint8Array>;
}
