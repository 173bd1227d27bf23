/**
 * The last step before anything leaves a client: a result's tensors become uploaded blobs, its numbers a message; a failure
 * becomes a code and a sentence without data.
 */
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import { MAX_ERROR_MESSAGE_LENGTH } from "../../shared/wire/limits.js";
import { encodeResult } from "../../tasks/envelope.js";
import type { TaskResult, TaskResultWithBlobs } from "../../tasks/kinds.js";
import type { Connection } from "./connection.js";
import { type RetryOptions, retrying } from "./retry.js";
import { refOf, uploadBlob } from "./upload.js";

export interface Receipt {
  readonly accepted: boolean;
  readonly reason: string;
}

/**
 * Errors whose messages are about files, rows or defects may quote what the client holds. They stay in the client's own log;
 * the coordinator learns the code.
 */
const QUIET_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["invalid_data", "invalid_config", "internal"]);

/** Uploads the result's tensors, then hands it in. Safe to repeat. */
export async function sendResult(
  connection: Connection,
  taskId: string,
  result: TaskResultWithBlobs,
  retry: RetryOptions,
): Promise<Receipt> {
  try {
    return await uploadAndReport(connection, taskId, result, retry);
  } catch (error) {
    // A machine that died after it took the blob and before the result may have forgotten that it has it.
    if (!(error instanceof KindredError) || error.code !== "not_found" || error.facts.what !== "blob") throw error;
    return uploadAndReport(connection, taskId, result, retry);
  }
}

async function uploadAndReport(
  connection: Connection,
  taskId: string,
  result: TaskResultWithBlobs,
  retry: RetryOptions,
): Promise<Receipt> {
  const send = async (bytes: Uint8Array) => {
    const ref = refOf(bytes);
    await uploadBlob(connection, taskId, ref, bytes, retry);
    return ref;
  };
  let named: TaskResult;
  if (result.kind === "sketchGradients") named = { ...result, rows: await send(result.rows) };
  else if (result.kind === "trainAdapter") named = { ...result, values: await send(result.values) };
  else named = result;
  const message = encodeResult(taskId, named);
  return retrying(() => connection.reportResult(message), retry);
}

/** What may be said of an error outside. */
export function sayable(error: KindredError): { code: ErrorCode; message: string } {
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
