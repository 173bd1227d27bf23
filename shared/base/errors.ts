/**
 * The error class. A closed list of codes says what happened; facts are fields, from which log lines, gRPC statuses and exit codes are
 * derived. Messages name the file, the field and the value, and say what to do.
 */

/** The codes of errors. A new code is justified where callers handle it differently. */
export const ERROR_CODES = [
  "invalid_option", // a command-line option or an argument of a public function
  "invalid_config", // a configuration file or field
  "invalid_data", // a dataset, a population or a row
  "invalid_model", // a model folder, its weights, its tokenizer
  "invalid_adapter", // an adapter's folder or its tensors
  "invalid_message", // bytes from the network that contradict their declaration
  "shape_mismatch", // tensors that do not fit each other
  "checksum_mismatch",
  "protocol_mismatch", // the other side speaks another version
  "model_mismatch", // the other side has another base model
  "name_taken", // two clients, or two extensions of the library, under one name
  "already_exists", // a finished run in the place of a new one
  "not_found",
  "insecure", // refused: would send data off the loopback without TLS
  "unsupported",
  "unavailable", // network or peer cannot be reached; worth retrying
  "state_unavailable", // the coordinator cannot read or write its own state (disk full, damaged file): nobody else's fault
  "too_large", // a bound was exceeded
  "cancelled", // stopped by the user
  "task_failed", // a client could not do a task
  "quorum_not_met",
  "internal", // a defect of Kindred
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Codes of mistakes in the user's input: exit code 2 and one line without a stack trace. */
const USER_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "invalid_option",
  "invalid_config",
  "invalid_data",
  "invalid_model",
  "invalid_adapter",
  "already_exists",
  "not_found",
  "insecure",
  "unsupported",
  "model_mismatch",
  "protocol_mismatch",
  "name_taken",
]);

export type Facts = Readonly<Record<string, string | number | boolean | null | undefined>>;

export class KindredError extends Error {
  override readonly name = "KindredError";
  readonly code: ErrorCode;
  readonly facts: Facts;

  constructor(code: ErrorCode, message: string, facts: Facts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.facts = facts;
  }
}

/** Exit code of the command line for an error: 2 for a user's mistake, 130 for an interruption, otherwise 1. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof KindredError)) return 1;
  if (error.code === "cancelled") return 130;
  return USER_CODES.has(error.code) ? 2 : 1;
}

/** The error as a KindredError. Other errors become the cause of an `internal` one. */
export function asKindredError(error: unknown): KindredError {
  if (error instanceof KindredError) return error;
  return new KindredError("internal", error instanceof Error ? error.message : String(error), {}, error);
}

/** Throws `cancelled` once the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new KindredError("cancelled", "stopped");
}
