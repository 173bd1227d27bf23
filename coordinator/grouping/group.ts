/**
 * From affinities to groups: candidates for every number of groups, the choice among them by the evaluator, and its reason.
 *
 * 1. T is standardised and symmetrised; the relaxation is solved for each number of groups m and rounded; spectral clustering
 *    gives a second candidate for each m. One group for all is always a candidate. m rises until it no longer pays.
 * 2. The evaluator values every candidate as a whole. The best one is merged down two groups at a time, each time the pair with the
 *    highest value, and every level is a candidate too. The best of each number of groups that could still win is refined by moves,
 *    swaps and merges.
 * 3. Parsimony: the choice is the candidate with the fewest groups that is within `margin` standard errors of the best
 *    (after the one-standard-error rule of Breiman et al. 1984; paired: the standard error is that of the difference between the
 *    two, and 1.5 of them, since the best was picked among hundreds: with 1 a planted group of a real model's sketches was split,
 *    with 2 planted groups of synthetic ones stayed merged). A needless split costs each group the others' data; the ensemble's weights
 *    can still correct a needless merge.
 * 4. A split is eligible only where its gain over one group exceeds the gain of a search by chance: the largest of K standard normals
 *    is about sqrt(2 ln K). K is the number of partitions evaluated times, for a refined one, the proposals of every change that led to
 *    it, since a search that keeps the best of p proposals r times over picks among p^r. Affinities, refinement and choice use the
 *    same held-out examples: on populations without conflict, of a real model's sketches, refined splits of random groups were
 *    3 to 4 standard errors above one group; planted groups in full conflict gained 8 to 18.
 *
 * It knows nothing of the estimation of affinities or values.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { Baseline } from "./candidates.js";
import { choose, densest, type Grouping } from "./choice.js";
import { type GroupCounts, PartitionConstraints } from "./constraints.js";
import { standardiseAffinity } from "./density.js";
import type { PartitionEvaluator } from "./evaluator.js";
import { CandidateSearch, PATIENCE } from "./search.js";

export interface GroupingOptions {
  /** Number of groups; "auto" lets the evaluator choose. @default "auto" */
  groups?: number | "auto" | undefined;
  /** Without an evaluator the candidate with the highest density is chosen, for a given number of groups. */
  evaluator?: PartitionEvaluator | undefined;
  /** "sdp" proposes the partitions of the relaxation and of spectral clustering, a baseline only its own. @default "sdp" */
  method?: "sdp" | Baseline | undefined;
  /** Satisfied by every candidate. @default no constraints */
  constraints?: PartitionConstraints | undefined;
  /** Standard errors by which more groups must be better than fewer. @default 1.5 */
  margin?: number | undefined;
  /** Standard errors by which a split must be better than one group. @default sqrt(2 ln K) as above, at least 2 */
  oneGroupMargin?: number | undefined;
  /** Largest number of partitions evaluated in refining. @default 40 per client, at most 1000 */
  budget?: number | undefined;
  /** @default 0 */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * Largest number of groups tried, or 1.5 sqrt(clients) if that is more. The search by number ends earlier once more groups no longer pay:
 * twelve real sets are estimated to fare best each apart, a population without conflict ends at 1 + PATIENCE.
 */
const MOST_GROUPS = 20;

/**
 * Groups the clients of an affinity matrix.
 * @param affinity T, n rows of n, higher is better
 * @throws {KindredError} `invalid_data` without clients; `invalid_option` for a number of groups out of range, for "auto" without an
 *   evaluator, and where no partition is found that satisfies the constraints
 */
export async function groupClients(
  affinity: readonly ArrayLike<number>[],
  options: GroupingOptions = {},
): Promise<Grouping> {
  const n = affinity.length;
  const { groups = "auto", evaluator, method = "sdp", margin = 1.5, seed = 0, signal } = options;
  const names = affinity.map((_, i) => String(i));
  if (n === 0) throw new KindredError("invalid_data", "grouping needs at least one client, got none");
  const constraints = options.constraints ?? new PartitionConstraints(names, { together: [], apart: [] });
  checkGroups(groups, n, evaluator, constraints.counts);
  const { fewest, most } = constraints.counts;
  const fixed = groups === "auto" ? undefined : groups;

  const standardised = standardiseAffinity(affinity);
  // Where constraints require many groups, a few more than these are tried.
  const upTo = Math.min(most, Math.max(MOST_GROUPS, Math.ceil(1.5 * Math.sqrt(n)), fewest + PATIENCE));
  const numbers = fixed === undefined ? Array.from({ length: upTo + 1 - fewest }, (_, more) => fewest + more) : [fixed];
  const search = new CandidateSearch({ affinity, standardised, method, constraints, evaluator, seed, signal });
  await search.propose(numbers);
  if (search.partitions().length === 0)
    throw new KindredError(
      "invalid_option",
      `grouping: no partition of ${n} clients into ${numbers[0]} to ${numbers.at(-1)} groups was found that satisfies all constraints; loosen sizes, together or apart`,
      { clients: n },
    );
  if (evaluator === undefined) return densest(standardised, search.partitions());

  await search.merge(evaluator, fixed);
  await search.refine(evaluator, fixed !== undefined, options.budget ?? Math.min(1000, 40 * n));
  return choose(standardised, search.partitions(), evaluator, {
    margin,
    oneGroupMargin: (choices) =>
      options.oneGroupMargin ?? Math.max(2, Math.sqrt(2 * (Math.log(search.evaluations) + choices))),
    fixedGroups: fixed !== undefined,
    oneAllowed: constraints.allows([affinity.map((_, i) => i)]),
  });
}

function checkGroups(
  groups: number | "auto",
  clients: number,
  evaluator: PartitionEvaluator | undefined,
  { fewest, most }: GroupCounts,
): void {
  if (groups === "auto") {
    if (evaluator === undefined && clients > 1)
      throw new KindredError("invalid_option", "groups: auto needs an evaluator of partitions; give a number", {});
    return;
  }
  if (!(Number.isInteger(groups) && groups >= 1 && groups <= clients))
    throw new KindredError("invalid_option", `groups must be "auto" or 1..${clients} (clients), got ${groups}`, {
      groups,
      clients,
    });
  if (groups < fewest || groups > most)
    throw new KindredError(
      "invalid_option",
      `groups: the constraints on groups allow ${fewest} to ${most}, got ${groups}`,
      { groups, fewest, most },
    );
}
