/** What of a plan does not fit the clients of a run. It is known before the first training, which may take hours. */
import { KindredError } from "../../../shared/base/errors.js";
import type { RunPlan } from "../../../shared/config/config.js";
import { firstSubsets } from "../../estimation/precision.js";
import { PartitionConstraints } from "../../grouping/constraints.js";
import { samplingOf } from "../../stages/affinities.js";

/**
 * Checks that these clients can satisfy the constraints on groups, and that the constraints name these clients only.
 * @throws {KindredError} `invalid_option` naming the constraint
 */
export function checkGrouping({ groups, grouping }: RunPlan, clients: readonly string[]): void {
  const known = new Set(clients);
  for (const key of ["together", "apart"] as const)
    for (const name of grouping[key].flat())
      if (!known.has(name))
        throw new KindredError(
          "invalid_option",
          `grouping.${key}: unknown client ${JSON.stringify(name)}; expected names of the run's clients; correct the name or remove it`,
          {
            client: name,
          },
        );
  const { fewest, most } = new PartitionConstraints(clients, grouping).counts;
  if (groups !== "auto" && groups > clients.length)
    throw new KindredError("invalid_option", `groups is ${groups}, but there are only ${clients.length} clients`, {
      groups,
    });
  if (groups !== "auto" && (groups < fewest || groups > most))
    throw new KindredError(
      "invalid_option",
      `groups is ${groups}, but the constraints of grouping leave ${fewest} to ${most} groups of ${clients.length} clients`,
      { groups, fewest, most },
    );
}

/**
 * Checks that the planned subsets can be drawn from so many clients.
 * @throws {KindredError} `invalid_option` saying what to change
 */
export function checkSampling(plan: RunPlan, clients: number): void {
  firstSubsets(clients, samplingOf(plan.estimation, plan.seed));
}
