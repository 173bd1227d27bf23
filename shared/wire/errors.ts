/**
 * Errors across the wire. One table says which gRPC status an error code travels as, another which codes are worth a retry.
 * The code and the facts travel in the trailers; an error without them comes from the transport, not from the other side.
 */
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { ERROR_CODES, type ErrorCode, type Facts, KindredError } from "../base/errors.js";
import { MAX_ERROR_FACTS_LENGTH, MAX_ERROR_MESSAGE_LENGTH } from "./limits.js";

const CODE_KEY = "kindred-code";
const FACTS_KEY = "kindred-facts-bin";

export const STATUS_OF: Readonly<Record<ErrorCode, status>> = {
  invalid_option: status.INVALID_ARGUMENT,
  invalid_config: status.INVALID_ARGUMENT,
  invalid_data: status.INVALID_ARGUMENT,
  invalid_model: status.INVALID_ARGUMENT,
  invalid_adapter: status.INVALID_ARGUMENT,
  invalid_message: status.INVALID_ARGUMENT,
  shape_mismatch: status.INVALID_ARGUMENT,
  checksum_mismatch: status.DATA_LOSS,
  protocol_mismatch: status.FAILED_PRECONDITION,
  model_mismatch: status.FAILED_PRECONDITION,
  name_taken: status.ALREADY_EXISTS,
  already_exists: status.ALREADY_EXISTS,
  not_found: status.NOT_FOUND,
  insecure: status.FAILED_PRECONDITION,
  unsupported: status.UNIMPLEMENTED,
  unavailable: status.UNAVAILABLE,
  state_unavailable: status.UNAVAILABLE,
  too_large: status.RESOURCE_EXHAUSTED,
  cancelled: status.CANCELLED,
  task_failed: status.ABORTED,
  quorum_not_met: status.ABORTED,
  internal: status.INTERNAL,
};

/** Would the same call, sent again, perhaps succeed? */
export const RETRYABLE: Readonly<Record<ErrorCode, boolean>> = {
  invalid_option: false,
  invalid_config: false,
  invalid_data: false,
  invalid_model: false,
  invalid_adapter: false,
  invalid_message: false,
  shape_mismatch: false,
  checksum_mismatch: true, // a flipped bit on the way; callers bound the attempts
  protocol_mismatch: false,
  model_mismatch: false,
  name_taken: false,
  already_exists: false,
  not_found: false,
  insecure: false,
  unsupported: false,
  unavailable: true,
  state_unavailable: true, // the coordinator waits until its disk has room, and so do its clients
  too_large: false,
  cancelled: false,
  task_failed: false,
  quorum_not_met: false,
  internal: false,
};

/** What a status without our code means: the transport made it, or a server that is not Kindred's. */
const TRANSPORT_CODE: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.UNAVAILABLE]: "unavailable",
  [status.DEADLINE_EXCEEDED]: "unavailable",
  [status.CANCELLED]: "unavailable", // reset by the other side; our own aborts are recognised before this table is asked
  [status.ABORTED]: "unavailable",
  [status.UNKNOWN]: "unavailable",
  [status.INTERNAL]: "unavailable", // RST_STREAM of a dying peer
  [status.RESOURCE_EXHAUSTED]: "too_large",
  [status.UNIMPLEMENTED]: "protocol_mismatch",
};

/** grpc-js gives local encoding faults the status INTERNAL as well; sending again would loop for ever. */
const LOCAL_FAULT = /serializ|parsing error|Failed to parse/i;

export interface WireError {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** An error as a gRPC status. */
export function toStatus(error: KindredError): WireError {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  const facts = JSON.stringify(error.facts);
  if (facts.length <= MAX_ERROR_FACTS_LENGTH) metadata.set(FACTS_KEY, Buffer.from(facts));
  return { code: STATUS_OF[error.code], details: error.message.slice(0, MAX_ERROR_MESSAGE_LENGTH), metadata };
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return (ERROR_CODES as readonly unknown[]).includes(value);
}

function readFacts(bytes: unknown): Facts {
  if (!Buffer.isBuffer(bytes) || bytes.length > 4 * MAX_ERROR_FACTS_LENGTH) return {};
  try {
    const parsed: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof parsed !== "object" || parsed === null) return {};
    return Object.fromEntries(
      Object.entries(parsed).filter(
        ([, value]) => value === null || ["string", "number", "boolean"].includes(typeof value),
      ),
    );
  } catch {
    return {}; // facts only enrich a message; a sender that garbles them loses them
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && typeof (error as Partial<ServiceError>).code === "number" && "metadata" in error;
}

/** gRPC writes a further part where there is nothing to say too. */
const briefly = (details: string): string => details.replace(/\.? Resolution note: $/, "");

/** What a failed call means. @param peer how to name the other side in the message */
export function fromStatus(error: unknown, peer: string): KindredError {
  if (error instanceof KindredError) return error;
  if (!isServiceError(error)) {
    return new KindredError("internal", error instanceof Error ? error.message : String(error), {}, error);
  }
  const code = error.metadata.get(CODE_KEY)[0];
  if (isErrorCode(code))
    return new KindredError(code, error.details, readFacts(error.metadata.get(FACTS_KEY)[0]), error);
  if (error.code === status.INTERNAL && LOCAL_FAULT.test(error.details)) {
    return new KindredError("internal", error.details, {}, error);
  }
  const meaning = TRANSPORT_CODE[error.code] ?? "internal";
  return new KindredError(
    meaning,
    `${peer}: ${status[error.code]} ${briefly(error.details)}`,
    { status: status[error.code] },
    error,
  );
}

export function isRetryable(error: unknown): boolean {
  return error instanceof KindredError && RETRYABLE[error.code];
}
