/** Per-example gradients of the margin, projected to few numbers. */
import type { AdapterSettings } from "../../shared/adapters/settings.js";
import { asset } from "../../shared/base/assets.js";
import type { AnswerPrefix } from "../../shared/sketch/answer-prefixes.js";
import { type MarginForm, MOST_NEGATIVES, MOST_NUMBERS, MOST_PROJECTIONS } from "../../shared/sketch/types.js";
import { adapterSpec } from "../../shared/wire/adapter-spec.js";
import { answerPrefixSets } from "../../shared/wire/answer-prefixes.js";
import { whole } from "../../shared/wire/checks.js";
import { blob, flag, optional, refined, struct, uint32, uint64 } from "../../shared/wire/fields.js";
import type { AdapterSpec, BlobRef, TaskCost } from "../../shared/wire/types.js";
import type { TaskFields, TaskKind } from "../kind.js";
import { release } from "../release.js";

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
  /** At most so many rows per split; 0: all. */
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

export interface SketchGradientsResult {
  readonly kind: "sketchGradients";
  readonly rows: BlobRef;
  /** Training rows the client holds. */
  readonly trainExamples: number;
  readonly cost: TaskCost;
}

/** Numbers of a sketch: all its projections. */
export const sketchWidth = ({ dim, projections }: Pick<SketchGradients, "dim" | "projections">): number =>
  dim * projections;

const task = struct<TaskFields<SketchGradients>>({
  adapter: adapterSpec,
  start: optional(blob),
  dim: uint32(1, MOST_NUMBERS),
  projections: uint32(1, MOST_PROJECTIONS),
  seed: uint64(),
  examplesLimit: uint32(),
  negatives: uint32(0, MOST_NEGATIVES),
  otherClientAnswers: answerPrefixSets,
  otherClientAnswersLimit: uint32(0, MOST_NEGATIVES - 1),
  labels: flag,
});

export const sketchGradients: TaskKind<SketchGradients, SketchGradientsResult> = {
  name: "sketchGradients",
  proto: {
    file: asset("tasks", "sketch-gradients", "sketch-gradients.proto"),
    task: "kindred.v1.SketchGradients",
    result: "kindred.v1.SketchGradientsResult",
  },
  task: refined(task, (name, read) => {
    whole(`${name}.dim x projections`, sketchWidth(read), 1, MOST_NUMBERS);
  }),
  result: struct({ rows: blob, trainExamples: uint32() }),
  releases: { rows: release("sketch"), trainExamples: release("count", { rowNorm: 0 }) },
  blobs: ({ start }) => (start === undefined ? [] : [start]),
  check: () => undefined,
};

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
