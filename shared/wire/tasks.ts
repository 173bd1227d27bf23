/**
 * Tasks and results as plain values: what the coordinator's pipeline and the client's task runners speak. It knows no
 * protobuf; shared/wire/codec.ts translates. Units and ranges are documented in proto/kindred/v1/work.proto.
 */
import type { AdapterSettings, FullSettings } from "../adapters/settings.js";
import type { AnswerPrefix } from "../sketch/answer-prefixes.js";
import type { MarginForm } from "../sketch/types.js";

/** Names bytes by their content. */
export interface BlobRef {
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export type SplitName = "train" | "validation" | "test";

/** Rows a client holds, a split. */
export interface RowCounts {
  readonly train: number;
  readonly validation: number;
  readonly test: number;
}

/** What a piece of work took on the client. */
export interface TaskCost {
  /** Floating-point operations, a multiply-add counted as 2. */
  readonly flops: number;
  readonly computeSeconds: number;
  /** Largest resident memory of the client's process so far; 0 where unknown. */
  readonly peakRssBytes: number;
}

interface Initial {
  /** Seed of the fresh initial values. */
  readonly initSeed: number;
}

export type AdapterSpec = AdapterSettings & Initial;
/** What can be trained and scored: an adapter, or all weights. */
export type TunedSpec = AdapterSpec | (FullSettings & Initial);

export interface SketchGradients {
  readonly kind: "sketchGradients";
  readonly adapter: AdapterSpec;
  /** Values to linearise at; absent: fresh initial values. */
  readonly start?: BlobRef;
  /** Width of a projection. */
  readonly dim: number;
  /** Independent projections, one behind the other in a sketch of `sketchWidth`. */
  readonly projections: number;
  /** Seed of the projections. */
  readonly seed: number;
  /** At most so many rows a split; 0: all. */
  readonly examplesLimit: number;
  /**
   * Choice margins an example gives at most, beside that of format, where it has choices: one against each of the strongest negatives,
   * the last against the rest together. 0: one margin over the vocabulary.
   */
  readonly negatives: number;
  /**
   * How rows of some clients begin their answers, in sets: format margins against them, where `negatives` is above 0. A row's own
   * choices among them do not count.
   */
  readonly otherClientAnswers: readonly (readonly AnswerPrefix[])[];
  /** Format margins an example gives at most against sets; where more concern it, drawn ones stand for all. */
  readonly otherClientAnswersLimit: number;
  /** Validation rows say which answer is right and which are its negatives. */
  readonly labels: boolean;
}

/** Numbers of a sketch: all its projections. */
export const sketchWidth = ({ dim, projections }: Pick<SketchGradients, "dim" | "projections">): number =>
  dim * projections;

/** Asks how the choices of the client's training and validation rows begin. */
export interface ListChoices {
  readonly kind: "listChoices";
  readonly adapter: AdapterSpec;
}

/** Choice margins of an example at most, by `estimation.margin`. */
const NEGATIVES: Readonly<Record<"auto" | MarginForm, number>> = {
  auto: 4,
  negatives: 4,
  "two-term": 1,
  answer: 0,
};

/** Format margins of an example at most against sets of other clients' answers: what that costs and keeps, client/tuning/negatives.ts. */
const OTHER_CLIENT_ANSWERS = 3;

export const negativesOf = (margin: "auto" | MarginForm): number => NEGATIVES[margin];

/**
 * What every client is asked to sketch, in a federation as from files. The plan's seed draws the adapter's start values and the
 * projection.
 * @param otherClientAnswers how clients' answers begin, in sets, where there is more than one negative
 */
export function sketchTask(
  plan: {
    readonly adapter: AdapterSettings;
    readonly estimation: {
      readonly dim: number;
      readonly projections: number;
      readonly labels: boolean;
      readonly examplesPerClient: number;
      readonly margin: "auto" | MarginForm;
    };
    readonly seed: number;
  },
  otherClientAnswers: readonly (readonly AnswerPrefix[])[],
): SketchGradients {
  const { adapter, estimation, seed } = plan;
  return {
    kind: "sketchGradients",
    adapter: { ...adapter, initSeed: seed },
    dim: estimation.dim,
    projections: estimation.projections,
    seed,
    examplesLimit: estimation.examplesPerClient,
    negatives: negativesOf(estimation.margin),
    otherClientAnswers,
    otherClientAnswersLimit: OTHER_CLIENT_ANSWERS,
    labels: estimation.labels,
  };
}

export interface WeightedAdapter {
  readonly adapter: BlobRef;
  readonly weight: number;
}

export interface TrainingSpec {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly warmupSteps: number;
  /** Length of the whole schedule. */
  readonly totalSteps: number;
  /** Where in the schedule this stretch starts. */
  readonly firstStep: number;
  /** Steps to do now. */
  readonly steps: number;
  readonly batch: number;
  /** Largest L2 norm of a step's gradient; 0: no clipping. */
  readonly clipNorm: number;
  readonly seed: number;
}

export interface TrainAdapter {
  readonly kind: "trainAdapter";
  readonly adapter: TunedSpec;
  /** Absent: fresh initial values. */
  readonly start?: BlobRef;
  /** Fixed members whose logit differences to the base are added (boosting). */
  readonly offset: readonly WeightedAdapter[];
  readonly training: TrainingSpec;
  /** Steps between validations; 0: never. Otherwise the values best by validation are returned. */
  readonly validateEvery: number;
  /** Take the validation loss before the first step too. */
  readonly validateStart: boolean;
}

export interface Evaluate {
  readonly kind: "evaluate";
  readonly adapter: TunedSpec;
  readonly members: readonly BlobRef[];
  /** Each: one weight a member, or empty for the base model. */
  readonly mixtures: readonly (readonly number[])[];
  readonly split: SplitName;
  /** 0: all rows. */
  readonly examplesLimit: number;
}

export interface FitWeights {
  readonly kind: "fitWeights";
  readonly adapter: AdapterSpec;
  readonly members: readonly BlobRef[];
  /** One a member. */
  readonly prior: readonly number[];
  readonly strength: number;
}

export interface EnsembleMember {
  /** Letters, digits, dots, hyphens and underscores. */
  readonly name: string;
  readonly adapter: BlobRef;
  readonly weight: number;
}

/** Hands a client its ensemble. */
export interface ReceiveEnsemble {
  readonly kind: "receiveEnsemble";
  readonly adapter: AdapterSpec;
  readonly members: readonly EnsembleMember[];
}

export type TaskSpec = ListChoices | SketchGradients | TrainAdapter | Evaluate | FitWeights | ReceiveEnsemble;
export type TaskKind = TaskSpec["kind"];

export interface ValidationPoint {
  readonly step: number;
  /** Nats. */
  readonly nllSum: number;
  readonly tokens: number;
}

export interface Score {
  /** Nats, summed over scored tokens. */
  readonly nllSum: number;
  readonly tokens: number;
  /** Rows with choices that were answered right. */
  readonly correct: number;
  /** Rows with choices. */
  readonly choiceRows: number;
  /** Rows. */
  readonly examples: number;
  /** Mean F1 of the answers that are right or chosen in rows with choices; absent where no row has any. */
  readonly macroF1?: number;
}

/** `B` is how tensors appear: a `BlobRef` at the coordinator, bytes at the client that made them. */
export interface SketchResult<B> {
  readonly kind: "sketchGradients";
  readonly rows: B;
  /** Training rows the client holds. */
  readonly trainExamples: number;
  readonly cost: TaskCost;
}

export interface ListChoicesResult {
  readonly kind: "listChoices";
  /** Each once, ascending; none where no rows have choices. */
  readonly answerPrefixes: readonly AnswerPrefix[];
  readonly cost: TaskCost;
}

export interface TrainResult<B> {
  readonly kind: "trainAdapter";
  readonly values: B;
  /** One a step, nats a scored token. */
  readonly losses: readonly number[];
  /** Training rows the client holds. */
  readonly examples: number;
  /** Step whose values are returned; absent: the last. */
  readonly bestStep?: number;
  readonly validation: readonly ValidationPoint[];
  readonly cost: TaskCost;
}

export interface EvaluateResult {
  readonly kind: "evaluate";
  /** One a mixture. */
  readonly scores: readonly Score[];
  readonly cost: TaskCost;
}

export interface FitWeightsResult {
  readonly kind: "fitWeights";
  /** One a member. */
  readonly weights: readonly number[];
  /** Scored tokens of the validation rows. */
  readonly tokens: number;
  /** Their summed negative log-likelihood under each of `weightAlternatives`, nats. */
  readonly nllSums: readonly number[];
  readonly cost: TaskCost;
}

/** What fitted weights are compared with: themselves, the prior, equal weights, and each member alone. */
export function weightAlternatives(weights: readonly number[], prior: readonly number[]): (readonly number[])[] {
  const count = prior.length;
  const alone = prior.map((_, at) => prior.map((__, j) => (j === at ? 1 : 0)));
  return [weights, prior, prior.map(() => 1 / count), ...alone];
}

export interface ReceiveEnsembleResult {
  readonly kind: "receiveEnsemble";
  readonly cost: TaskCost;
}

export type ResultOf<B> =
  | ListChoicesResult
  | SketchResult<B>
  | TrainResult<B>
  | EvaluateResult
  | FitWeightsResult
  | ReceiveEnsembleResult;
/** A result as the coordinator holds it. */
export type TaskResult = ResultOf<BlobRef>;
/** A result as a client's runner makes it. */
export type TaskResultWithBlobs = ResultOf<Uint8Array>;
/** The result that a task of this type gets. */
export type ResultFor<T extends TaskSpec> = Extract<TaskResult, { kind: T["kind"] }>;

/** All blobs a task names, each once, in order of appearance: what its client may download. */
export function blobsOfTask(task: TaskSpec): BlobRef[] {
  const named: BlobRef[] = [];
  if (task.kind === "sketchGradients" || task.kind === "trainAdapter") {
    if (task.start !== undefined) named.push(task.start);
  }
  if (task.kind === "trainAdapter") named.push(...task.offset.map((member) => member.adapter));
  if (task.kind === "evaluate" || task.kind === "fitWeights") named.push(...task.members);
  if (task.kind === "receiveEnsemble") named.push(...task.members.map((member) => member.adapter));
  return distinct(named);
}

/** All blobs a result names, each once. */
export function blobsOfResult(result: TaskResult): BlobRef[] {
  if (result.kind === "sketchGradients") return [result.rows];
  if (result.kind === "trainAdapter") return [result.values];
  return [];
}

function distinct(refs: readonly BlobRef[]): BlobRef[] {
  return [...new Map(refs.map((ref) => [ref.sha256, ref])).values()];
}
