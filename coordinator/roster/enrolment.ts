/** The decision on a client that enrols: a pure function. It knows nothing of sessions and storage. */
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";

export interface Applicant {
  readonly protocolVersion: number;
  readonly name: string;
  readonly instanceHash: string;
  readonly modelHash: string;
  /** Names of the transforms of updates that the client supports. */
  readonly transforms: readonly string[];
}

/** The client that holds the applicant's name. */
export interface Holder {
  readonly instanceHash: string;
  /** Heard from lately, or known from an earlier process of the coordinator and not yet given up. */
  readonly live: boolean;
}

export interface EnrolmentPolicy {
  readonly protocolVersion: number;
  readonly modelHash: string;
  /** Transforms that the run's tasks need. */
  readonly transforms: readonly string[];
  /** Number of enrolled clients. */
  readonly clients: number;
  readonly maxClients: number;
}

/** "returning": the same instance again; "successor": another instance under the name of a client that was given up. */
export type EnrolmentKind = "new" | "returning" | "successor";

export type EnrolmentDecision =
  | { readonly admit: true; readonly as: EnrolmentKind }
  | { readonly admit: false; readonly error: KindredError };

export function decideEnrolment(
  applicant: Applicant,
  holder: Holder | undefined,
  policy: EnrolmentPolicy,
): EnrolmentDecision {
  const refuse = (code: ErrorCode, message: string, facts: Record<string, string | number>): EnrolmentDecision => ({
    admit: false,
    error: new KindredError(code, message, facts),
  });
  const { name } = applicant;
  if (applicant.protocolVersion !== policy.protocolVersion) {
    const [theirs, ours] = [applicant.protocolVersion, policy.protocolVersion];
    const older = theirs < ours ? "client" : "coordinator";
    const message = `client ${name} speaks protocol version ${theirs}, the coordinator ${ours}: update the ${older}`;
    return refuse("protocol_mismatch", message, { client: name, theirs, ours });
  }
  if (applicant.modelHash !== policy.modelHash) {
    const [theirs, ours] = [applicant.modelHash, policy.modelHash];
    const message = `client ${name} has base model ${theirs}, the coordinator ${ours}: give both the same model folder`;
    return refuse("model_mismatch", message, { client: name, theirs, ours });
  }
  const missing = policy.transforms.find((name) => !applicant.transforms.includes(name));
  if (missing !== undefined) {
    const able = applicant.transforms.length > 0 ? applicant.transforms.join(", ") : "none";
    const message = `client ${name} lacks the transform ${missing}, which the run needs (transport.compression); it has ${able}: update the client`;
    return refuse("unsupported", message, { client: name, transform: missing });
  }
  if (holder?.instanceHash === applicant.instanceHash) return { admit: true, as: "returning" };
  if (holder?.live) {
    const message = `another client with the name ${name} is alive: choose another name, or stop that client first`;
    return refuse("name_taken", message, { client: name });
  }
  if (holder) return { admit: true, as: "successor" };
  if (policy.clients >= policy.maxClients) {
    const message = `the run already has ${policy.clients} clients, the maximum`;
    return refuse("too_large", message, { limit: policy.maxClients });
  }
  return { admit: true, as: "new" };
}
