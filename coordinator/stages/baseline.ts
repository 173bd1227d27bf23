/**
 * Grouping without the estimator's evaluation of partitions: by the baselines, on the same sketches and affinities, for comparison; and
 * by the relaxation where there are affinities alone.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { EstimationProblem } from "../estimation/problem.js";
import { cosineAffinity, groupsByEigengap } from "../grouping/baselines.js";
import type { Baseline } from "../grouping/candidates.js";
import type { Grouping } from "../grouping/choice.js";
import type { PartitionConstraints } from "../grouping/constraints.js";
import { standardiseAffinity } from "../grouping/density.js";
import { groupClients } from "../grouping/group.js";
import { groupsByPath } from "../grouping/path.js";

export interface BaselineSearch {
  /** Method for the number of groups where it is not given. @default "eigengap" */
  readonly number?: "eigengap" | "path" | undefined;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
  readonly constraints: PartitionConstraints;
}

/**
 * @param method "cosine": average linkage of the cosines between clients' mean sketched gradients; else of the affinities
 * @param problem the sketches, where they are available
 * @param groups undefined: by the method `search.number`
 * @throws {KindredError} `invalid_option` for the cosine without sketches
 */
export async function baselineGrouping(
  method: Baseline | "cosine" | "sdp",
  affinity: readonly ArrayLike<number>[],
  problem: EstimationProblem | undefined,
  groups: number | undefined,
  { number = "eigengap", ...search }: BaselineSearch,
): Promise<Grouping> {
  const { fewest, most } = search.constraints.counts;
  if (method === "cosine" && problem === undefined)
    throw new KindredError("invalid_option", "grouping by cosine needs the clients' sketches: it compares gradients");
  const similarity = method === "cosine" ? cosineAffinity(meanSketches(problem!)) : affinity;
  const upTo = Math.ceil(1.5 * Math.sqrt(affinity.length));
  const standardised = standardiseAffinity(similarity);
  const count = (): Promise<number> =>
    number === "path" ? groupsByPath(standardised, upTo, search) : groupsByEigengap(standardised, upTo);
  const wanted = groups ?? Math.min(most, Math.max(fewest, await count()));
  const found = await groupClients(similarity, {
    ...search,
    groups: wanted,
    method: method === "cosine" ? "agglomerative" : method,
  });
  const counted = `${found.partition.length} ${found.partition.length === 1 ? "group" : "groups"}`;
  return {
    ...found,
    why: `${counted} by ${method}, ${groups === undefined ? `their number by the ${number === "path" ? "path of lambda" : "eigengap"}` : "as requested"}`,
  };
}

/** [clients] rows of [dim]: the mean of each client's training rows. */
function meanSketches({ train, dim }: EstimationProblem): Float64Array[] {
  return train.map(({ sketch, margin }) => {
    const mean = new Float64Array(dim);
    sketch.forEach((x, at) => {
      mean[at % dim]! += x / margin.length;
    });
    return mean;
  });
}
