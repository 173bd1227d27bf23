/** Trains an adapter on the client's training rows. */
import { asset } from "../../shared/base/assets.js";
import type { TransformName } from "../../shared/transforms/names.js";
import { tunedSpec, weightedAdapter } from "../../shared/wire/adapter-spec.js";
import { lossSum, refuse, whole } from "../../shared/wire/checks.js";
import { blob, flag, listOf, optional, real, refined, struct, uint32, uint64 } from "../../shared/wire/fields.js";
import { MAX_BATCH, MAX_MEMBERS, MAX_STEPS } from "../../shared/wire/limits.js";
import type { BlobRef, TaskCost, TunedSpec, WeightedAdapter } from "../../shared/wire/types.js";
import type { ResultFields, TaskFields, TaskKind, Transport } from "../kind.js";
import { release } from "../release.js";

export interface TrainingSpec {
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly warmupSteps: number;
  /** Length of the whole schedule. */
  readonly totalSteps: number;
  /** Where in the schedule this section starts. */
  readonly firstStep: number;
  /** Steps to do now. */
  readonly steps: number;
  readonly batch: number;
  /** Largest L2 norm of a step's gradient; 0: no clipping. */
  readonly clipNorm: number;
  readonly seed: number;
  /** mu of the objective's term mu / 2 |w - start|^2 (FedProx). Absent or 0: no term. */
  readonly proximal?: number;
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
  /** With a start alone: without one, the coordinator has nothing that a difference could be to. */
  readonly transport?: Transport;
}

export interface ValidationPoint {
  readonly step: number;
  /** Nats. */
  readonly nllSum: number;
  readonly tokens: number;
}

export interface TrainAdapterResult {
  readonly kind: "trainAdapter";
  readonly values: BlobRef;
  /** One per step, nats per scored token. */
  readonly losses: readonly number[];
  /** Training rows the client holds. */
  readonly examples: number;
  /** Step whose values are returned; absent: the last. */
  readonly bestStep?: number;
  readonly validation: readonly ValidationPoint[];
  readonly cost: TaskCost;
  readonly transforms?: readonly TransformName[];
}

const training = struct<TrainingSpec>({
  learningRate: real(0, true),
  weightDecay: real(0),
  warmupSteps: uint32(),
  totalSteps: uint32(1),
  firstStep: uint32(),
  steps: uint32(1, MAX_STEPS),
  batch: uint32(1, MAX_BATCH),
  clipNorm: real(0),
  seed: uint64(),
  proximal: optional(real(0)),
});

const task = struct<TaskFields<TrainAdapter>>({
  adapter: tunedSpec,
  start: optional(blob),
  offset: listOf(weightedAdapter, 0, MAX_MEMBERS),
  training: refined(training, (name, { firstStep, totalSteps }) => {
    whole(`${name}.first_step`, firstStep, 0, totalSteps);
  }),
  validateEvery: uint32(),
  validateStart: flag,
});

/** A loss over no tokens would be no number. */
const validationPoint = refined(
  struct<ValidationPoint>({ step: uint32(), nllSum: real(), tokens: uint64(1) }),
  (name, { nllSum, tokens }) => {
    lossSum(`${name}.nll_sum`, nllSum, tokens);
  },
);

export const trainAdapter: TaskKind<TrainAdapter, TrainAdapterResult> = {
  name: "trainAdapter",
  proto: {
    file: asset("tasks", "train-adapter", "train-adapter.proto"),
    task: "kindred.v1.TrainAdapter",
    result: "kindred.v1.TrainAdapterResult",
  },
  task,
  result: struct<ResultFields<TrainAdapterResult>>({
    values: blob,
    losses: listOf(real(), 0, MAX_STEPS),
    examples: uint32(),
    bestStep: optional(uint32()),
    validation: listOf(validationPoint, 0, MAX_STEPS + 1),
  }),
  releases: {
    values: release("update"),
    losses: release("losses"),
    // One row replaced by another leaves the number of rows as it is.
    examples: release("count", { rowNorm: 0 }),
    bestStep: release("count"),
    validation: release("score"),
  },
  blobs: ({ start, offset }) => [...(start === undefined ? [] : [start]), ...offset.map(({ adapter }) => adapter)],
  check: ({ training: { steps } }, { losses, bestStep, validation }) => {
    if (losses.length > steps) refuse("length of train_adapter.losses", `at most ${steps}`, losses.length);
    if ((bestStep ?? 0) > steps) refuse("train_adapter.best_step", `at most ${steps}`, bestStep);
    let last = -1;
    for (const { step } of validation) {
      if (step <= last || step > steps) refuse("train_adapter.validation", `in ascending order up to ${steps}`, step);
      last = step;
    }
  },
};
