/**
 * The last step before anything leaves a client: a result's tensors become uploaded blobs, its numbers a message; a failure
 * becomes a code and a sentence without data.
 */
import { DISK_TROUBLES, diskTrouble } from "../../shared/base/disk.js";
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import { MAX_ERROR_MESSAGE_LENGTH } from "../../shared/wire/limits.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { encodeResult } from "../../tasks/envelope.js";
import type { TaskResult, TaskSpec, UnsentResult } from "../../tasks/kinds.js";
import type { Connection } from "./connection.js";
import type { Memory } from "./memory.js";
import { appliedTransforms, encodeReleases } from "./releases.js";
import { type RetryOptions, retrying } from "./retry.js";
import { refOf, uploadBlob } from "./upload.js";

export interface Receipt {
  readonly accepted: boolean;
  readonly reason: string;
}

/** What became of a result that was sent. */
export interface Sent extends Receipt {
  /** Bytes of its blobs: what has left, whether it was taken or not. */
  readonly bytes: number;
}

/**
 * Errors whose messages are about files, rows or defects may quote what the client holds. They stay in the client's own log;
 * the coordinator learns the code.
 */
const QUIET_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["invalid_data", "invalid_config", "internal"]);

/** A task whose result is sent. */
export interface Assignment {
  readonly taskId: string;
  readonly task: TaskSpec;
}

export interface SendOptions {
  readonly retry: RetryOptions;
  /** What the transforms of updates remember. */
  readonly memory: Memory;
}

/** Encodes and uploads the result's tensors, then hands it in. Safe to repeat. */
export async function sendResult(
  connection: Connection,
  { taskId, task }: Assignment,
  result: UnsentResult,
  { retry, memory }: SendOptions,
): Promise<Sent> {
  const encoded = await encodeReleases(task, result, memory);
  const size = encoded.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const send = async (): Promise<Sent> => {
    const refs = new Map<string, BlobRef>();
    for (const { field, bytes } of encoded) {
      const ref = refOf(bytes);
      await uploadBlob(connection, taskId, ref, bytes, retry);
      refs.set(field, ref);
    }
    const named = { ...result, ...Object.fromEntries(refs), ...appliedTransforms(task) } as unknown as TaskResult;
    const message = encodeResult(taskId, named);
    return { ...(await retrying(() => connection.reportResult(message), retry)), bytes: size };
  };
  try {
    return await send();
  } catch (error) {
    // A machine that died after it took the blob and before the result may have forgotten that it has it.
    if (!(error instanceof KindredError) || error.code !== "not_found" || error.facts.what !== "blob") throw error;
    return send();
  }
}

/** As ONNX Runtime, TensorFlow, V8 and C++ say that memory is short. */
const OUT_OF_MEMORY = /out of memory|bad_alloc|failed to allocate|allocation failed/i;

/** Trouble of the client's own machine, in words without a path of it. */
function ownTrouble(error: KindredError): string | undefined {
  const trouble = diskTrouble(error);
  if (trouble !== undefined) return `its machine ${DISK_TROUBLES[trouble]}`;
  const cause = error.code === "internal" ? error.cause : undefined;
  const short = OUT_OF_MEMORY.test(error.message) || (cause instanceof Error && OUT_OF_MEMORY.test(cause.message));
  return short ? "its machine has run out of memory" : undefined;
}

/** What may be said of an error outside. */
export function sayable(error: KindredError): { code: ErrorCode; message: string } {
  const own = ownTrouble(error);
  if (own !== undefined) return { code: "task_failed", message: own };
  const message = QUIET_CODES.has(error.code) ? `${error.code} (its message is in the client's log)` : error.message;
  return { code: error.code, message: message.slice(0, MAX_ERROR_MESSAGE_LENGTH) };
}

/** Says that a task cannot be done. Safe to repeat. */
export function sendFailure(
  connection: Connection,
  taskId: string,
  error: KindredError,
  retry: RetryOptions,
): Promise<Receipt> {
  return retrying(() => connection.reportFailure({ taskId, ...sayable(error) }), retry);
}
