/**
 * The stage from affinities to groups, as one function for the pipeline and for `kindred group`: by the estimator's judgement where
 * the sketches are at hand, else by the affinities alone. It knows nothing of where either comes from.
 */
import type { Half } from "../estimation/evaluate.js";
import type { EstimatorJudge } from "../estimation/judge.js";
import type { EstimationProblem } from "../estimation/problem.js";
import type { PartitionConstraints } from "../grouping/constraints.js";
import { type Grouping, groupClients } from "../grouping/group.js";
import { baselineGrouping } from "./baseline.js";
import { confirmed } from "./confirm.js";
import type { GroupingMethod } from "./methods.js";

export interface GroupSearch {
  readonly groups: "auto" | number;
  readonly method: GroupingMethod;
  /** How their number is found where it is not given and the estimator does not judge. @default "eigengap" */
  readonly number?: "eigengap" | "path" | undefined;
  readonly constraints: PartitionConstraints;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/** What is known of the clients beside their affinities. */
export interface Evidence {
  readonly judge: EstimatorJudge;
  readonly problem: EstimationProblem;
  /** T as one half of every client's held-out examples has it. */
  readonly halves: (half: Half) => readonly ArrayLike<number>[];
}

/** @throws {KindredError} `invalid_option` where the method needs evidence and there is none */
export async function findGroups(
  affinity: readonly ArrayLike<number>[],
  evidence: Evidence | undefined,
  { groups, method, number, ...search }: GroupSearch,
): Promise<Grouping> {
  // A client that dropped out leaves fewer groups to be had.
  const forced = groups === "auto" ? undefined : Math.min(groups, search.constraints.counts.most);
  if (method !== "kindred" || evidence === undefined) {
    const alone = method === "kindred" ? "sdp" : method;
    return await baselineGrouping(alone, affinity, evidence?.problem, forced, { ...search, number });
  }
  const { judge, halves } = evidence;
  const found = await groupClients(affinity, { ...search, judge, groups: forced ?? "auto" });
  return forced === undefined ? await confirmed(found, halves, judge, search) : found;
}

/** A partition that was looked at, as reports have it. */
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
