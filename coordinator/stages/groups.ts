/**
 * The stage from affinities to groups, for a run and for `kindred group`: by the estimator's values of partitions where sketches are
 * given, else by the affinities alone. It knows nothing of the origin of either.
 */
import type { Runtime } from "../../shared/runtimes/types.js";
import type { ClientSketch } from "../../shared/sketch/types.js";
import type { Half } from "../estimation/evaluate.js";
import { type Forecast, forecastOf } from "../estimation/forecast.js";
import { SurrogateEvaluator } from "../estimation/partition-evaluator.js";
import type { EstimationProblem } from "../estimation/problem.js";
import type { Grouping } from "../grouping/choice.js";
import type { PartitionConstraints } from "../grouping/constraints.js";
import { groupClients } from "../grouping/group.js";
import { type EstimatorSettings, openEstimator } from "./affinities.js";
import { baselineGrouping } from "./baseline.js";
import { crossValidated } from "./cross-validation.js";
import type { GroupingMethod } from "./grouping-methods.js";

export interface GroupSearch {
  readonly groups: "auto" | number;
  readonly method: GroupingMethod;
  /** Method for their number where it is not given and the estimator does not evaluate partitions. @default "eigengap" */
  readonly number?: "eigengap" | "path" | undefined;
  readonly constraints: PartitionConstraints;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/** Evidence on the clients beside their affinities. */
export interface Evidence {
  readonly evaluator: SurrogateEvaluator;
  readonly problem: EstimationProblem;
  /** T by one half of every client's held-out examples. */
  readonly halves: (half: Half) => readonly ArrayLike<number>[];
}

/** @throws {KindredError} `invalid_option` where the method needs evidence and it is missing */
export async function findGroups(
  affinity: readonly ArrayLike<number>[],
  evidence: Evidence | undefined,
  { groups, method, number, ...search }: GroupSearch,
): Promise<Grouping> {
  // After a client dropped out, fewer groups may be possible.
  const forced = groups === "auto" ? undefined : Math.min(groups, search.constraints.counts.most);
  if (method !== "kindred" || evidence === undefined) {
    const alone = method === "kindred" ? "sdp" : method;
    return await baselineGrouping(alone, affinity, evidence?.problem, forced, { ...search, number });
  }
  const { evaluator, halves } = evidence;
  const found = await groupClients(affinity, { ...search, evaluator, groups: forced ?? "auto" });
  return forced === undefined ? await crossValidated(found, halves, evaluator, search) : found;
}

/**
 * Groups by the estimator's values, and a forecast of each client's loss in them. Opens the estimator from the sketches.
 * @param onSolved called with a number of solved surrogates
 * @throws {KindredError} as `openEstimator` and `findGroups`
 */
export async function groupsBySketches(
  {
    affinity,
    sketches,
    halves,
  }: Pick<Evidence, "halves"> & {
    readonly affinity: readonly ArrayLike<number>[];
    /** In the order of the affinities. */
    readonly sketches: readonly ClientSketch[];
  },
  settings: EstimatorSettings,
  search: GroupSearch,
  { runtime, onSolved }: { readonly runtime: Runtime; readonly onSolved?: (solved: number) => void },
): Promise<{ readonly grouping: Grouping; readonly forecast: Forecast }> {
  const { seed, signal } = search;
  const solver = await openEstimator(sketches, settings, { seed, runtime, signal });
  try {
    const evaluator = new SurrogateEvaluator(solver, onSolved === undefined ? {} : { onSolved });
    const grouping = await findGroups(affinity, { evaluator, problem: solver.problem, halves }, search);
    return { grouping, forecast: await forecastOf(solver, grouping.partition, seed) };
  } finally {
    await solver.close();
  }
}

/** A candidate partition in the form of reports. */
export interface GroupingCandidateNote {
  readonly label: string;
  readonly groups: number;
  readonly judged: number;
  readonly gainOverOne: number | null;
  readonly standardError: number | null;
  readonly chosen: boolean;
}

export function candidateNotes({ candidates, chosen }: Grouping): GroupingCandidateNote[] {
  return candidates.map(({ source, partition, value, gainOverOne, standardError }, at) => ({
    label: source,
    groups: partition.length,
    judged: value,
    gainOverOne,
    standardError,
    chosen: at === chosen,
  }));
}
