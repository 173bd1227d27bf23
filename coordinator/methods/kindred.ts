/**
 * Kindred's own method: estimate how clients fare together, group them, train one adapter per group, boost the groups that fit worst,
 * and fit each client's mixture.
 */
import type { RunPlan } from "../../shared/config/config.js";
import type { AdapterSpec } from "../../shared/wire/types.js";
import type { TrainingParts } from "../rounds/training-job.js";
import { boostGroups } from "./kindred/boosting.js";
import { realLosses } from "./kindred/calibrate.js";
import { type EstimateParts, estimateAndGroup } from "./kindred/estimate.js";
import { trainGroups } from "./kindred/group-adapters.js";
import { fitEnsemble } from "./kindred/weights.js";
import type { Method, TrainingOrder } from "./method.js";

export type KindredParts = TrainingParts & EstimateParts & { readonly plan: RunPlan };

/** @param partition groups to train instead of those found, for comparison */
export const kindredMethod = (
  parts: KindredParts,
  adapter: AdapterSpec,
  partition: readonly (readonly string[])[] | undefined,
): Method<"kindred"> => ({
  name: "kindred",
  sweeps: true,
  uses: parts.plan.estimation.calibrate ? ["shared", "local"] : [],
  async train({ learningRate, trained }) {
    const { books, events, plan } = parts;
    const estimate = await estimateAndGroup(parts, await calibration(parts, adapter, trained));
    const groups = partition ?? estimate.partition.map((group) => group.map((i) => estimate.clients[i]!));
    events.emit({ type: "groups-found", groups, reason: estimate.reason });
    const own = await books.time(["kindred"], "train", () => trainGroups(parts, adapter, groups, learningRate));
    const { members, curves, boosting } = await books.time(["kindred"], "boost", () =>
      boostGroups(parts, groups, own, { rounds: plan.boosting.rounds, learningRate }),
    );
    const { strength } = plan.ensemble;
    const weights = await books.time(["kindred"], "weigh", () =>
      fitEnsemble(parts, adapter, { groups, members, strength }),
    );
    return {
      adapter,
      estimate,
      groups,
      members,
      boosting,
      weights,
      curves: [...own.curves, ...curves],
      mixture: (client) =>
        members
          .map(({ values }, j) => ({ values, weight: weights.get(client)?.[j] ?? 0 }))
          .filter(({ weight }) => weight !== 0),
    };
  },
});

/** Real losses for the estimate's calibration, where the plan asks for it. */
async function calibration(parts: KindredParts, adapter: AdapterSpec, { shared, local }: TrainingOrder["trained"]) {
  if (shared === undefined || local === undefined || !parts.plan.estimation.calibrate) return undefined;
  return await parts.books.time(["kindred"], "calibrate", () => realLosses(parts, adapter, { shared, local }));
}
