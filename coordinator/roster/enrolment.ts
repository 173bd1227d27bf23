/** The decision on a client that enrols: a pure function. It knows nothing of sessions and storage. */
import { type ErrorCode, KindredError } from "../../shared/base/errors.js";
import type { ModelIdentity } from "../../shared/wire/types.js";

export interface Applicant {
  readonly protocolVersion: number;
  readonly name: string;
  readonly instanceHash: string;
  readonly identity: ModelIdentity;
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
  /** What the run's clients have; a part is left out where none has it yet. */
  readonly identity: Partial<ModelIdentity>;
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

/** The refusal of a client that speaks another version of the protocol. */
export function protocolMismatch(name: string, theirs: number, ours: number): KindredError {
  const older = theirs < ours ? "client" : "coordinator";
  const message = `client ${name} speaks protocol version ${theirs}, the coordinator ${ours}: update the ${older}`;
  return new KindredError("protocol_mismatch", message, { client: name, theirs, ours });
}

interface Part {
  readonly what: string;
  readonly todo: (ours: string) => string;
}

const sameEnd = (): string =>
  "their losses would be of other tokens; start all clients with the same --end-of-text and the same model folder (eos_token, " +
  "eos_token_id)";

/** The parts of a client's identity, in the order in which they are compared: the model's hash depends on the quantisation. */
const PARTS: Readonly<Record<keyof ModelIdentity, Part>> = {
  quantization: { what: "quantization", todo: (ours) => `start the client with --quantization ${ours}` },
  modelHash: { what: "base model", todo: () => "give all clients the same model folder" },
  tokenizerHash: {
    what: "tokenizer",
    todo: () =>
      "the same token ids would stand for other text; give all clients the same tokenizer.json, and the same added and special " +
      "tokens in the files beside it",
  },
  chatTemplateHash: {
    what: "chat template",
    todo: () =>
      "the same messages would be other text; give all clients the same chat template (chat_template.jinja, or chat_template " +
      "in tokenizer_config.json) and the same special tokens",
  },
  endOfFreeAnswers: { what: "end-of-text token of free answers", todo: sameEnd },
  endOfOtherRows: { what: "end-of-text token of other rows", todo: sameEnd },
};

export const IDENTITY_PARTS = Object.keys(PARTS) as readonly (keyof ModelIdentity)[];

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
    return { admit: false, error: protocolMismatch(name, applicant.protocolVersion, policy.protocolVersion) };
  }
  for (const part of IDENTITY_PARTS) {
    const { what, todo } = PARTS[part];
    const [theirs, ours] = [applicant.identity[part], policy.identity[part]];
    if (theirs === null || ours == null || theirs === ours) continue;
    const message = `client ${name} has the ${what} ${theirs}, the run ${ours}: ${todo(ours)}`;
    return refuse("model_mismatch", message, { client: name, differs: what, theirs, ours });
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
