/** Scores mixtures of adapters on one split of the client's rows. */
import { asset } from "../../shared/base/assets.js";
import { memberBlobs, tunedSpec } from "../../shared/wire/adapter-spec.js";
import { lossSum, refuse, whole } from "../../shared/wire/checks.js";
import {
  choice,
  type Field,
  listOf,
  optional,
  real,
  refined,
  share,
  struct,
  uint32,
  uint64,
} from "../../shared/wire/fields.js";
import { MAX_MEMBERS, MAX_MIXTURE_WEIGHTS, MAX_MIXTURES } from "../../shared/wire/limits.js";
import type { BlobRef, SplitName, TaskCost, TunedSpec } from "../../shared/wire/types.js";
import type { TaskFields, TaskKind } from "../kind.js";
import { release } from "../release.js";

export interface Evaluate {
  readonly kind: "evaluate";
  readonly adapter: TunedSpec;
  readonly members: readonly BlobRef[];
  /** Each: one weight per member, or empty for the base model. */
  readonly mixtures: readonly (readonly number[])[];
  readonly split: SplitName;
  /** 0: all rows. */
  readonly examplesLimit: number;
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

export interface EvaluateResult {
  readonly kind: "evaluate";
  /** One per mixture. */
  readonly scores: readonly Score[];
  readonly cost: TaskCost;
}

const weights = struct<{ weights: readonly number[] }>({ weights: listOf(real(), 0, MAX_MEMBERS) });

/** A repeated field cannot hold lists; a message with one field can. */
const mixture: Field<readonly number[]> = {
  read: (name, value) => weights.read(name, value).weights,
  write: (value) => weights.write({ weights: value }),
};

const task = struct<TaskFields<Evaluate>>({
  adapter: tunedSpec,
  members: memberBlobs(0),
  mixtures: listOf(mixture, 1, MAX_MIXTURES),
  split: choice({ train: "SPLIT_TRAIN", validation: "SPLIT_VALIDATION", test: "SPLIT_TEST" }),
  examplesLimit: uint32(),
});

const score = struct<Score>({
  nllSum: real(),
  // A loss over no tokens would be no number.
  tokens: uint64(1),
  correct: uint32(),
  choiceRows: uint32(),
  examples: uint32(),
  macroF1: optional(share),
});

export const evaluate: TaskKind<Evaluate, EvaluateResult> = {
  name: "evaluate",
  proto: {
    file: asset("tasks", "evaluate", "evaluate.proto"),
    task: "kindred.v1.Evaluate",
    result: "kindred.v1.EvaluateResult",
  },
  task: refined(task, (name, { members, mixtures }) => {
    const product = mixtures.length * members.length;
    if (product > MAX_MIXTURE_WEIGHTS) {
      refuse(`${name}.mixtures times members`, `at most ${MAX_MIXTURE_WEIGHTS}`, product);
    }
    mixtures.forEach(({ length }, at) => {
      if (length !== 0 && length !== members.length) {
        refuse(`length of ${name}.mixtures[${at}].weights`, `0 or the number of members, ${members.length}`, length);
      }
    });
  }),
  result: struct({
    scores: listOf(
      refined(score, (name, { nllSum, tokens, examples, choiceRows, correct }) => {
        lossSum(`${name}.nll_sum`, nllSum, tokens);
        whole(`${name}.choice_rows`, choiceRows, 0, examples);
        whole(`${name}.correct`, correct, 0, choiceRows);
      }),
      1,
      MAX_MIXTURES,
    ),
  }),
  releases: { scores: release("score") },
  blobs: ({ members }) => members,
  check: ({ mixtures }, { scores }) => {
    if (scores.length !== mixtures.length) {
      refuse("length of evaluate.scores", String(mixtures.length), scores.length);
    }
  },
};
