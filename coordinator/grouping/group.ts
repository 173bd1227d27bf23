/**
 * From affinities to groups: candidates for every number of groups, the evaluator's choice among them, and why.
 *
 * 1. T is standardised and symmetrised; the relaxation is solved for each number of groups m and rounded; spectral clustering
 *    gives a second candidate for each m. One group for all is always a candidate. m rises until it no longer pays.
 * 2. The evaluator values every candidate as a whole; the best is merged down two groups at a time, whichever it likes best, and
 *    every level is a candidate too; the best of each number of groups that could still win is refined by moves, swaps and merges.
 * 3. Parsimony: of all candidates the one with the fewest groups that is within `margin` standard errors of the best is chosen
 *    (after the one-standard-error rule of Breiman et al. 1984; paired: the standard error is that of the difference between the
 *    two, and 1.5 of them, since the best was picked among hundreds: with 1 a planted group of a real model's sketches was split,
 *    with 2 planted groups of synthetic ones stayed merged). A needless split costs each group the others' data; a needless
 *    merge the ensemble's weights can still mend.
 * 4. A split stands only where it is better than one group by more than chance alone finds: the largest of K standard normals is
 *    about sqrt(2 ln K). K is the number of partitions judged times, for a refined one, the proposals of every change that led to
 *    it, since a search that keeps the best of p proposals r times over picks among p^r. Affinities, refinement and choice see the
 *    same held-out examples: on populations without conflict, of a real model's sketches, refined splits of random groups were
 *    seen 3 to 4 standard errors above one group; planted groups in full conflict gained 8 to 18.
 *
 * It knows nothing of how affinities or values are estimated.
 */
import { KindredError, throwIfAborted } from "../../shared/base/errors.js";
import { type EventLoopYield, eventLoopYield } from "../algebra/yield.js";
import { agglomerativeGroups, coClusterGroups } from "./baselines.js";
import { PartitionConstraints } from "./constraints.js";
import { density, type SquareMatrix, standardiseAffinity } from "./density.js";
import type { PartitionEvaluator } from "./evaluator.js";
import { checkPartition, type Partition, partitionKey, randomPartition } from "./partition.js";
import { refinePartition } from "./refine.js";
import { solveGroupingSdp } from "./sdp.js";
import { SpectralClustering } from "./spectral.js";

/** Ways of grouping that others use. */
export const BASELINES = ["spectral", "cocluster", "agglomerative", "random"] as const;
export type Baseline = (typeof BASELINES)[number];

export type CandidateSource = "one" | "sdp" | "apart" | "merged" | "refined" | Baseline;

export interface Candidate {
  readonly partition: Partition;
  readonly source: CandidateSource;
  /** The evaluator's value, higher is better; the density where there is no evaluator. */
  readonly value: number;
  /** Within-group density on the standardised affinity. */
  readonly density: number;
  /** Value over that of the one group, and its standard error; null where there is no evaluator. */
  readonly gainOverOne: number | null;
  readonly standardError: number | null;
}

export interface Grouping {
  readonly partition: Partition;
  /** By number of groups, then by value. */
  readonly candidates: readonly Candidate[];
  /** Index of the chosen candidate. */
  readonly chosen: number;
  /** One sentence for the report. */
  readonly why: string;
}

export interface GroupingOptions {
  /** Forces the number of groups; "auto" lets the evaluator choose. @default "auto" */
  groups?: number | "auto" | undefined;
  /** Without an evaluator the candidate with the highest density is taken: for a forced number of groups, or for tests. */
  evaluator?: PartitionEvaluator | undefined;
  /** "sdp" proposes what the relaxation and spectral clustering find, any other its own groups alone. @default "sdp" */
  method?: "sdp" | Baseline | undefined;
  /** What every candidate keeps. @default nothing */
  constraints?: PartitionConstraints | undefined;
  /** Standard errors by which more groups must be better than fewer. @default 1.5 */
  margin?: number | undefined;
  /** Standard errors by which any split must be better than one group. @default sqrt(2 ln of the partitions it was picked among), at least 2 */
  oneGroupMargin?: number | undefined;
  /** Partitions put to the evaluator in refining, at most. @default 40 a client, at most 1000 */
  budget?: number | undefined;
  /** @default 0 */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Above this many clients an iteration of the relaxation takes too long (15 to 100 ms at 500): spectral candidates alone. */
const SDP_CLIENTS = 600;
/** Above this many, where it takes seconds, the relaxation is solved for the number of groups alone that is judged best. */
const RELAXED_EVERYWHERE = 150;
/** The relaxation is only to be rounded: beyond these, roundings no longer change. */
const SDP_ROUNDED = { tolerance: 1e-3, maxIterations: 80 };
/**
 * Largest number of groups tried, or 1.5 sqrt(clients) if that is more. The path ends earlier once more groups no longer pay: twelve
 * real sets are estimated to fare best each apart, a population without conflict ends at 1 + PATIENCE.
 */
const MOST_GROUPS = 20;
/** Numbers of groups beyond the best so far that are tried before the path ends. */
const PATIENCE = 4;
/** With a forced number of groups, how many more groups the partitions have that are merged down to it. */
const FINER = 3;
/** Candidates that are refined, at most. */
const REFINED = 4;
/**
 * Standard errors that a move in refining must gain: one client of 24 in the wrong group was seen to cost the whole 1 to 2, while a
 * gain of any size leads away from planted groups.
 */
const MOVE_MARGIN = 1;
/** Standard errors by which a partition is clearly worse than another, before it is refined. */
const CLEARLY = 3;

interface Proposal {
  readonly partition: Partition;
  readonly source: CandidateSource;
}

interface Found extends Proposal {
  /** ln of how many partitions refinement picked it among; 0 where it was not refined. */
  readonly choices: number;
}

/** Groups the clients of an affinity matrix. @param affinity T, n rows of n, higher is better */
export async function groupClients(
  affinity: readonly ArrayLike<number>[],
  options: GroupingOptions = {},
): Promise<Grouping> {
  const n = affinity.length;
  const { groups = "auto", evaluator, method = "sdp", margin = 1.5, seed = 0, signal } = options;
  if (n === 0) throw new KindredError("invalid_data", "grouping needs at least one client, got none");
  if (groups !== "auto" && !(Number.isInteger(groups) && groups >= 1 && groups <= n))
    throw new KindredError("invalid_option", `groups must be "auto" or 1..${n} (clients), got ${groups}`, {
      groups,
      clients: n,
    });
  if (groups === "auto" && evaluator === undefined && n > 1)
    throw new KindredError(
      "invalid_option",
      "choosing the number of groups needs an evaluator; give groups as a number",
      {},
    );

  const names = affinity.map((_, i) => String(i));
  const constraints = options.constraints ?? new PartitionConstraints(names, { together: [], apart: [] });
  const { fewest, most } = constraints.counts;
  if (groups !== "auto" && (groups < fewest || groups > most))
    throw new KindredError(
      "invalid_option",
      `groups is ${groups}, but the constraints on groups leave ${fewest} to ${most}`,
      { groups, fewest, most },
    );

  const yieldToEventLoop = eventLoopYield(signal);
  const standardised = standardiseAffinity(affinity);
  const spectral = new SpectralClustering(standardised, seed);
  const one: Partition = [Array.from({ length: n }, (_, i) => i)];
  // Where constraints ask for many groups, a few more than these are tried.
  const upTo = Math.min(most, Math.max(MOST_GROUPS, Math.ceil(1.5 * Math.sqrt(n)), fewest + PATIENCE));
  const wanted = groups === "auto" ? Array.from({ length: upTo + 1 - fewest }, (_, more) => fewest + more) : [groups];
  const found = new Map<string, Found>();
  const add = (partition: Partition, source: CandidateSource, choices = 0) => {
    checkPartition(partition, n);
    const key = partitionKey(partition);
    if (found.has(key)) return false;
    found.set(key, { partition, source, choices });
    return true;
  };
  const values = new Map<Partition, number>();
  let best = Number.NEGATIVE_INFINITY;
  let bestGroups = fewest;
  const relaxes = method === "sdp" && n <= SDP_CLIENTS;
  const everywhere = evaluator === undefined || n <= RELAXED_EVERYWHERE;
  const relaxed = async (m: number): Promise<Proposal> => {
    const solved = await solveGroupingSdp(standardised, { ...SDP_ROUNDED, groups: m, seed, signal });
    return { partition: solved.partition, source: "sdp" };
  };
  const proposals = async (m: number): Promise<Proposal[]> => {
    throwIfAborted(signal);
    if (m === 1) return [{ partition: one, source: "one" }];
    if (m === n) return [{ partition: one[0]!.map((i) => [i]), source: "apart" }];
    const first = relaxes && everywhere ? [await relaxed(m)] : [];
    const source = method === "sdp" ? "spectral" : method;
    const partition = await baselineGroups(source, affinity, standardised, spectral, m, seed, yieldToEventLoop);
    return [...first, { partition, source }];
  };
  /** Has what is proposed of m groups judged, where it is new. */
  const look = async (m: number, proposed: readonly Proposal[]): Promise<void> => {
    const fresh: Partition[] = [];
    for (const { partition: wished, source } of proposed) {
      const partition = constraints.honoured(wished, standardised, seed);
      if (partition !== undefined && add(partition, source)) fresh.push(partition);
    }
    if (evaluator === undefined) return;
    const judged = await evaluator.values(fresh);
    fresh.forEach((partition, at) => {
      values.set(partition, judged[at]!);
      if (judged[at]! > best) {
        best = judged[at]!;
        bestGroups = m;
      }
    });
  };
  for (const m of wanted) {
    await look(m, await proposals(m));
    if (evaluator !== undefined && m >= bestGroups + PATIENCE) break;
  }
  if (relaxes && !everywhere && bestGroups > 1 && bestGroups < n) await look(bestGroups, [await relaxed(bestGroups)]);
  if (found.size === 0)
    throw new KindredError(
      "invalid_option",
      `no partition of ${n} clients into ${wanted[0]} to ${wanted.at(-1)} groups was found that keeps all constraints; loosen sizes, together or apart`,
      { clients: n },
    );
  if (evaluator === undefined) return byDensity(standardised, [...found.values()]);

  // Moves alone cannot undo one group split and two others joined: finer partitions, merged as the evaluator likes it, start where
  // they cannot get. With the number free, the best partition is merged all the way down and every level is a candidate.
  const mergeFrom: Partition[] = [];
  if (groups === "auto") mergeFrom.push(bestOf(values));
  else if (groups > 1)
    for (let finer = groups + 1; finer <= Math.min(n - 1, groups + FINER); finer++) {
      const start = constraints.honoured(await spectral.groups(finer, yieldToEventLoop), standardised, seed);
      if (start !== undefined) mergeFrom.push(start);
    }
  for (const start of mergeFrom) {
    throwIfAborted(signal);
    const levels = await mergeDown(evaluator, start, groups === "auto" ? Math.max(2, fewest) : groups, constraints);
    const fresh = levels
      .filter((level) => groups === "auto" || level.length === groups)
      .filter((level) => add(level, "merged"));
    const judged = await evaluator.values(fresh);
    fresh.forEach((partition, at) => {
      values.set(partition, judged[at]!);
    });
  }

  const budget = options.budget ?? Math.min(1000, 40 * n);
  let judgedPartitions = values.size;
  const starts = await worthRefining(evaluator, values, groups === "auto");
  for (const partition of starts) {
    throwIfAborted(signal);
    const refined = await refinePartition(evaluator, partition, n, {
      budget: Math.ceil(budget / starts.length),
      fixedGroups: groups !== "auto",
      margin: MOVE_MARGIN,
      constraints,
      signal,
    });
    judgedPartitions += refined.judged;
    add(refined.partition, "refined", refined.choices);
  }
  return choose(standardised, [...found.values()], evaluator, one, {
    margin,
    oneGroupMargin: (choices) =>
      options.oneGroupMargin ?? Math.max(2, Math.sqrt(2 * (Math.log(judgedPartitions) + choices))),
    forced: groups !== "auto",
    oneAllowed: constraints.allows(one),
  });
}

async function baselineGroups(
  method: Baseline,
  affinity: readonly ArrayLike<number>[],
  standardised: SquareMatrix,
  spectral: SpectralClustering,
  groups: number,
  seed: number,
  yieldToEventLoop: EventLoopYield,
): Promise<Partition> {
  switch (method) {
    case "spectral":
      return spectral.groups(groups, yieldToEventLoop);
    case "cocluster":
      return coClusterGroups(affinity, groups, seed);
    case "agglomerative":
      return agglomerativeGroups(standardised, groups);
    case "random":
      return randomPartition(affinity.length, groups, seed);
  }
}

function bestOf(values: ReadonlyMap<Partition, number>): Partition {
  let best: Partition | undefined;
  for (const [partition, value] of values) if (best === undefined || value > values.get(best)!) best = partition;
  return best!;
}

/**
 * The partitions that could still be chosen. With the number of groups free: of every number the best, where it is not clearly
 * worse than the best of all; fewest groups first, since parsimony asks for these, and the best of all in any case.
 */
async function worthRefining(
  evaluator: PartitionEvaluator,
  values: ReadonlyMap<Partition, number>,
  auto: boolean,
): Promise<Partition[]> {
  const splits = [...values].filter(([partition]) => partition.length > 1).sort((a, b) => b[1] - a[1]);
  if (!auto) return splits.slice(0, REFINED).map(([partition]) => partition);
  const top = splits[0]?.[0];
  if (top === undefined) return [];
  const counts = new Map<number, Partition>();
  for (const [partition] of splits) if (!counts.has(partition.length)) counts.set(partition.length, partition);
  const open: Partition[] = [];
  for (const partition of [...counts.values()].sort((a, b) => a.length - b.length)) {
    const { gain, standardError } = await evaluator.compare(top, partition);
    if (partition !== top && gain <= CLEARLY * standardError) open.push(partition);
  }
  return [top, ...open.slice(0, REFINED - 1)];
}

/** Merges two groups at a time, whichever the evaluator likes best, until `groups` are left. @returns every level on the way */
async function mergeDown(
  evaluator: PartitionEvaluator,
  start: Partition,
  groups: number,
  constraints: PartitionConstraints,
): Promise<Partition[]> {
  const levels: Partition[] = [];
  let partition = start;
  while (partition.length > groups) {
    const merged: Partition[] = [];
    for (let a = 0; a < partition.length; a++)
      for (let b = 0; b < a; b++) {
        const joined = [...partition[a]!, ...partition[b]!].sort((x, y) => x - y);
        const after = [...partition.filter((_, c) => c !== a && c !== b), joined].sort((x, y) => x[0]! - y[0]!);
        if (constraints.allows(after)) merged.push(after);
      }
    if (merged.length === 0) break;
    const values = await evaluator.values(merged);
    let best = 0;
    for (let at = 1; at < merged.length; at++) if (values[at]! > values[best]!) best = at;
    partition = merged[best]!;
    levels.push(partition);
  }
  return levels;
}

function byDensity(standardised: SquareMatrix, found: readonly Found[]): Grouping {
  const candidates = found
    .map(({ partition, source }) => {
      const value = density(standardised, partition);
      return { partition, source, value, density: value, gainOverOne: null, standardError: null };
    })
    .sort((a, b) => a.partition.length - b.partition.length || b.value - a.value);
  let chosen = 0;
  candidates.forEach((candidate, at) => {
    if (candidate.value > candidates[chosen]!.value) chosen = at;
  });
  return {
    partition: candidates[chosen]!.partition,
    candidates,
    chosen,
    why: `${counted(candidates[chosen]!.partition.length)}, as told; the densest by affinity`,
  };
}

async function choose(
  standardised: SquareMatrix,
  found: readonly Found[],
  evaluator: PartitionEvaluator,
  one: Partition,
  {
    margin,
    oneGroupMargin,
    forced,
    oneAllowed,
  }: { margin: number; oneGroupMargin: (choices: number) => number; forced: boolean; oneAllowed: boolean },
): Promise<Grouping> {
  const values = await evaluator.values(found.map(({ partition }) => partition));
  const candidates: Candidate[] = [];
  const stands = new Set<Candidate>();
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
    if (forced || !oneAllowed || partition.length === 1 || gain > oneGroupMargin(choices) * standardError)
      stands.add(candidate);
  }
  candidates.sort((a, b) => a.partition.length - b.partition.length || b.value - a.value);
  const bestAmong = (some: (candidate: Candidate) => boolean): number => {
    let best = -1;
    candidates.forEach((candidate, at) => {
      if (some(candidate) && (best < 0 || candidate.value > candidates[best]!.value)) best = at;
    });
    return best;
  };
  // What stands out from one group, if anything does; then the fewest groups that are as good.
  const best = bestAmong((candidate) => stands.has(candidate));
  const top = candidates[best]!;
  let chosen = best;
  for (let at = 0; at < best; at++) {
    const candidate = candidates[at]!;
    if (!stands.has(candidate) || candidate.partition.length === top.partition.length) continue;
    if (candidate.partition.length === 1) continue;
    const { gain, standardError } = await evaluator.compare(top.partition, candidate.partition);
    if (gain <= margin * standardError) {
      chosen = at;
      break;
    }
  }
  const taken = candidates[chosen]!;
  const m = taken.partition.length;
  let why: string;
  if (forced) why = `${counted(m)}, as told; the best of ${candidates.length} by estimated validation loss`;
  else if (candidates.length === 1) why = `${counted(m)}: the only candidate`;
  else if (m === 1) {
    const split = candidates[bestAmong(({ partition }) => partition.length > 1)]!;
    why =
      split.gainOverOne! <= 0
        ? "one group: no split is estimated to lower the validation loss"
        : `one group: ${counted(split.partition.length)} would be estimated to gain only ${split.gainOverOne!.toFixed(4)} ± ${split.standardError!.toFixed(4)} more, which chance alone finds among so many`;
  } else if (chosen === best)
    why = `${counted(m)}: estimated validation loss lower by ${taken.gainOverOne!.toFixed(4)} ± ${taken.standardError!.toFixed(4)} than with one group, and clearly lower than with fewer groups`;
  else {
    const { gain, standardError } = await evaluator.compare(top.partition, taken.partition);
    why = `${counted(m)}: ${counted(top.partition.length)} would be estimated to gain only ${gain.toFixed(4)} ± ${standardError.toFixed(4)} more`;
  }
  return { partition: taken.partition, candidates, chosen, why };
}

function counted(groups: number): string {
  return groups === 1 ? "one group" : `${groups} groups`;
}
