/** What the pipeline sees of the clients: names, tasks by key, outcomes, blobs. It sees no sessions, leases or connections. */
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
  /** The task fails when its progress has not grown for so long, counted from its start. 0: never. @default 1_800_000 */
  readonly deadlineMs?: number;
  /** Withdraws the task: `run` rejects with `cancelled`, nothing is stored, and the client is told to stop. */
  readonly signal?: AbortSignal;
  /** The client's report of how far it is, 0 .. 1. */
  readonly onProgress?: (fraction: number) => void;
}

export interface FinishOptions {
  /** False: the run was given up. @default true */
  readonly finished?: boolean;
  /** How long to wait for clients to come and be told. @default 10_000 */
  readonly lingerMs?: number;
}

export interface ClientPool {
  /** All enrolled clients by name, those of earlier processes on the same state included. */
  clients(): Promise<ClientInfo[]>;

  /** Resolves once `min` clients are enrolled. @throws {KindredError} `cancelled` */
  whenEnrolled(min: number, signal?: AbortSignal): Promise<ClientInfo[]>;

  /**
   * Has a client do a task. Idempotent by (client, key): the outcome, failures included, is stored and given back at once
   * when asked for again, also by a restarted coordinator; a task under way is joined. A client's fault is an outcome, not
   * an exception.
   * @throws {KindredError} `invalid_option` for a task that cannot be sent, `internal` for a key used with another task,
   * `cancelled`
   */
  run<T extends TaskSpec>(
    key: string,
    client: string,
    task: T,
    options?: RunTaskOptions,
  ): Promise<TaskOutcome<ResultFor<T>>>;

  /** Tells clients to go home, those that ask within the linger time. */
  finish(reason: string, options?: FinishOptions): Promise<void>;

  /** Reads and writes blobs in pieces. */
  readonly blobs: Pick<Blobs, "range" | "readInto" | "write">;

  putBlob(bytes: Uint8Array): Promise<BlobRef>;
  /** @throws {KindredError} `not_found`, `checksum_mismatch` */
  getBlob(ref: BlobRef): Promise<Uint8Array>;
}
