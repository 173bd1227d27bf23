/** The number of groups by cross-validation over the halves of the held-out rows. */
import type { Half } from "../estimation/evaluate.js";
import type { SurrogateEvaluator } from "../estimation/partition-evaluator.js";
import type { Candidate } from "../grouping/candidates.js";
import type { Grouping } from "../grouping/choice.js";
import type { PartitionConstraints } from "../grouping/constraints.js";
import { groupClients } from "../grouping/group.js";
import type { Partition } from "../grouping/partition.js";

/** Standard errors by which a split must gain over one group. */
const SPLIT = 2;
/** Standard errors by which more groups must gain over fewer. */
const MORE = 1;

/** Best candidate of each number of groups. */
function byGroups(candidates: readonly Candidate[]): Map<number, Candidate> {
  const best = new Map<number, Candidate>();
  for (const candidate of candidates) {
    const groups = candidate.partition.length;
    if (candidate.value > (best.get(groups)?.value ?? Number.NEGATIVE_INFINITY)) best.set(groups, candidate);
  }
  return best;
}

/**
 * Chooses the number of groups by cross-validation: a search on one half of every client's held-out rows finds the best
 * partition of each number of groups, and the other half evaluates it, both ways. A search over many partitions always finds one that
 * fits the rows of its evaluation by chance: on populations without conflict by up to 5 standard errors.
 *
 * @param found the search on all rows; the result is its best candidate with the chosen number of groups
 * @param halves T by one half of the held-out rows
 */
export async function crossValidated(
  found: Grouping,
  halves: (half: Half) => readonly ArrayLike<number>[],
  evaluator: SurrogateEvaluator,
  search: { seed: number; signal: AbortSignal | undefined; constraints?: PartitionConstraints },
): Promise<Grouping> {
  if (found.partition.length === 1) return found;
  const searched: { partitions: Map<number, Partition>; other: SurrogateEvaluator }[] = [];
  for (const half of [0, 1] as const) {
    const { candidates } = await groupClients(halves(half), {
      ...search,
      evaluator: evaluator.onHalf(half),
      oneGroupMargin: 0,
    });
    const partitions = new Map([...byGroups(candidates)].map(([groups, { partition }]) => [groups, partition]));
    searched.push({ partitions, other: evaluator.onHalf(half === 0 ? 1 : 0) });
  }
  /** Gain of one number of groups over another, on rows that were not used in the search. */
  const gainOf = async (more: number, fewer: number): Promise<{ gain: number; standardError: number }> => {
    let gain = 0;
    let variance = 0;
    for (const { partitions, other } of searched) {
      const half = await other.compare(partitions.get(more) as Partition, partitions.get(fewer) as Partition);
      gain += half.gain / 2;
      variance += (half.standardError / 2) ** 2;
    }
    return { gain, standardError: Math.sqrt(variance) };
  };
  const all = byGroups(found.candidates);
  const numbers = [...all.keys()]
    .filter((groups) => searched.every(({ partitions }) => partitions.has(groups)))
    .sort((a, b) => a - b);
  // One, unless constraints require more.
  const [fewest] = numbers;
  if (fewest === undefined) return found;
  const gains = new Map<number, { gain: number; standardError: number }>();
  for (const groups of numbers) gains.set(groups, await gainOf(groups, fewest));
  let best = fewest;
  for (const [groups, { gain }] of gains) if (gain > gains.get(best)!.gain) best = groups;
  let chosen = best;
  for (const groups of numbers) {
    if (groups === fewest || groups >= best) continue;
    const { gain, standardError } = await gainOf(best, groups);
    if (gain > MORE * standardError) continue;
    chosen = groups;
    break;
  }
  const { gain, standardError } = gains.get(chosen)!;
  if (chosen > fewest && gain <= SPLIT * standardError) chosen = fewest;
  const says = `${gain.toFixed(4)} ± ${standardError.toFixed(4)} nats`;
  const where = "on held-out rows that were not used in the search";
  const partition = all.get(chosen)!.partition;
  const least = fewest === 1 ? "one" : String(fewest);
  let why = `${chosen} groups: they gain ${says} over ${least} ${where}, and more groups gain no more`;
  if (chosen === fewest) {
    const kept = fewest === 1 ? "one group" : `${fewest} groups, the fewest that the constraints allow`;
    why = best === fewest ? `${kept}: no split gains ${where}` : `${kept}: a split gains only ${says} ${where}`;
  }
  return {
    ...found,
    partition,
    chosen: found.candidates.findIndex((candidate) => candidate.partition === partition),
    why,
  };
}
