/**
 * The choice among candidate partitions, with its reason in a sentence: the fewest groups within a margin of the best, and a split only
 * where it is significantly better than one group. It knows nothing of the search.
 */
import type { Candidate, FoundPartition } from "./candidates.js";
import { density, type SquareMatrix } from "./density.js";
import type { PartitionEvaluator } from "./evaluator.js";
import type { Partition } from "./partition.js";

export interface Grouping {
  readonly partition: Partition;
  /** By number of groups, then by value. */
  readonly candidates: readonly Candidate[];
  /** Index of the chosen candidate. */
  readonly chosen: number;
  /** One sentence for the report. */
  readonly why: string;
}

export interface ChoiceOptions {
  /** Standard errors by which more groups must be better than fewer. */
  readonly margin: number;
  /** Standard errors by which a split must be better than one group. @param choices as in `FoundPartition` */
  readonly oneGroupMargin: (choices: number) => number;
  /** Whether the number of groups was given. */
  readonly fixedGroups: boolean;
  /** Whether the constraints allow one group for all. */
  readonly oneAllowed: boolean;
}

/** The candidate with the highest density, for a given number of groups. */
export function densest(standardised: SquareMatrix, found: readonly FoundPartition[]): Grouping {
  const candidates = found
    .map(({ partition, source }): Candidate => {
      const value = density(standardised, partition);
      return { partition, source, value, density: value, gainOverOne: null, standardError: null };
    })
    .sort(byGroupsThenValue);
  const chosen = bestAmong(candidates, () => true);
  const { partition } = candidates[chosen]!;
  return { partition, candidates, chosen, why: `${counted(partition.length)}, as requested; the densest by affinity` };
}

/** The choice by the evaluator's values. */
export async function choose(
  standardised: SquareMatrix,
  found: readonly FoundPartition[],
  evaluator: PartitionEvaluator,
  options: ChoiceOptions,
): Promise<Grouping> {
  const { margin, oneGroupMargin, fixedGroups, oneAllowed } = options;
  const one: Partition = [standardised.map((_, i) => i)];
  const values = await evaluator.values(found.map(({ partition }) => partition));
  const candidates: Candidate[] = [];
  const eligible = new Set<Candidate>();
  for (const [at, { partition, source, choices }] of found.entries()) {
    const { gain, standardError } = await evaluator.compare(partition, one);
    const candidate: Candidate = {
      partition,
      source,
      value: values[at]!,
      density: density(standardised, partition),
      gainOverOne: gain,
      standardError,
    };
    candidates.push(candidate);
    if (fixedGroups || !oneAllowed || partition.length === 1 || gain > oneGroupMargin(choices) * standardError)
      eligible.add(candidate);
  }
  candidates.sort(byGroupsThenValue);
  const best = bestAmong(candidates, (candidate) => eligible.has(candidate));
  const top = candidates[best]!;
  // The fewest groups that are as good as the best.
  let chosen = best;
  for (let at = 0; at < best; at++) {
    const candidate = candidates[at]!;
    if (!eligible.has(candidate) || candidate.partition.length === top.partition.length) continue;
    if (candidate.partition.length === 1) continue;
    const { gain, standardError } = await evaluator.compare(top.partition, candidate.partition);
    if (gain <= margin * standardError) {
      chosen = at;
      break;
    }
  }
  const why = await reasonOf(candidates, chosen, top, evaluator, fixedGroups);
  return { partition: candidates[chosen]!.partition, candidates, chosen, why };
}

/** @param top the best eligible candidate */
async function reasonOf(
  candidates: readonly Candidate[],
  chosen: number,
  top: Candidate,
  evaluator: PartitionEvaluator,
  fixedGroups: boolean,
): Promise<string> {
  const taken = candidates[chosen]!;
  const groups = counted(taken.partition.length);
  if (fixedGroups) return `${groups}, as requested; the best of ${candidates.length} by estimated validation loss`;
  if (candidates.length === 1) return `${groups}: the only candidate`;
  if (taken.partition.length === 1) {
    const split = candidates[bestAmong(candidates, ({ partition }) => partition.length > 1)]!;
    return split.gainOverOne! <= 0
      ? "one group: no split has a lower estimated validation loss"
      : `one group: ${counted(split.partition.length)} would gain only ${error(split.gainOverOne!, split.standardError!)} more by the estimate, which a search among so many partitions finds by chance`;
  }
  if (taken === top)
    return `${groups}: estimated validation loss lower by ${error(taken.gainOverOne!, taken.standardError!)} than with one group, and clearly lower than with fewer groups`;
  const { gain, standardError } = await evaluator.compare(top.partition, taken.partition);
  return `${groups}: ${counted(top.partition.length)} would gain only ${error(gain, standardError)} more by the estimate`;
}

/** Index of the candidate with the highest value among some; the first where several have it, -1 without any. */
function bestAmong(candidates: readonly Candidate[], among: (candidate: Candidate) => boolean): number {
  let best = -1;
  candidates.forEach((candidate, at) => {
    if (among(candidate) && (best < 0 || candidate.value > candidates[best]!.value)) best = at;
  });
  return best;
}

const byGroupsThenValue = (a: Candidate, b: Candidate): number =>
  a.partition.length - b.partition.length || b.value - a.value;

const error = (value: number, standardError: number): string => `${value.toFixed(4)} ± ${standardError.toFixed(4)}`;

function counted(groups: number): string {
  return groups === 1 ? "one group" : `${groups} groups`;
}
