/** Fits a client's ensemble weights on its validation rows (convex), shrunk towards a prior. */
import { asset } from "../../shared/base/assets.js";
import { adapterSpec, memberBlobs } from "../../shared/wire/adapter-spec.js";
import { refuse } from "../../shared/wire/checks.js";
import { listOf, real, refined, struct, uint64 } from "../../shared/wire/fields.js";
import { MAX_MEMBERS } from "../../shared/wire/limits.js";
import type { AdapterSpec, BlobRef, TaskCost } from "../../shared/wire/types.js";
import type { TaskFields, TaskKind } from "../kind.js";
import { release } from "../release.js";

export interface FitWeights {
  readonly kind: "fitWeights";
  readonly adapter: AdapterSpec;
  readonly members: readonly BlobRef[];
  /** One per member. */
  readonly prior: readonly number[];
  readonly strength: number;
}

export interface FitWeightsResult {
  readonly kind: "fitWeights";
  /** One per member. */
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

const task = struct<TaskFields<FitWeights>>({
  adapter: adapterSpec,
  members: memberBlobs(1),
  prior: listOf(real(0), 0, MAX_MEMBERS),
  strength: real(0),
});

function mustCount(field: string, got: number, need: number): void {
  if (got !== need) refuse(`length of ${field}`, String(need), got);
}

export const fitWeights: TaskKind<FitWeights, FitWeightsResult> = {
  name: "fitWeights",
  proto: {
    file: asset("tasks", "fit-weights", "fit-weights.proto"),
    task: "kindred.v1.FitWeights",
    result: "kindred.v1.FitWeightsResult",
  },
  task: refined(task, (name, { members, prior }) => mustCount(`${name}.prior`, prior.length, members.length)),
  result: struct({
    weights: listOf(real(0), 1, MAX_MEMBERS),
    tokens: uint64(1),
    nllSums: listOf(real(0), 1, MAX_MEMBERS + 3),
  }),
  releases: { weights: release("weights"), tokens: release("count"), nllSums: release("score") },
  blobs: ({ members }) => members,
  check: ({ members, prior }, { weights, nllSums }) => {
    mustCount("fit_weights.weights", weights.length, members.length);
    mustCount("fit_weights.nll_sums", nllSums.length, weightAlternatives(weights, prior).length);
  },
};
