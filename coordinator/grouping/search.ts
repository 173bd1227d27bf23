/**
 * The search for candidate partitions: proposals for each number of groups, merges and refinement. It knows nothing of the choice among
 * the candidates.
 */
import { throwIfAborted } from "../../shared/base/errors.js";
import { type EventLoopYield, eventLoopYield } from "../algebra/yield.js";
import { agglomerativeGroups, coClusterGroups } from "./baselines.js";
import type { Baseline, CandidateSource, FoundPartition, Proposal } from "./candidates.js";
import type { PartitionConstraints } from "./constraints.js";
import type { SquareMatrix } from "./density.js";
import type { PartitionEvaluator } from "./evaluator.js";
import { checkPartition, type Partition, partitionKey, randomPartition } from "./partition.js";
import { refinePartition } from "./refine.js";
import { solveGroupingSdp } from "./sdp.js";
import { SpectralClustering } from "./spectral.js";

export interface SearchOptions {
  /** T, n rows of n. */
  readonly affinity: readonly ArrayLike<number>[];
  /** T, standardised and symmetric. */
  readonly standardised: SquareMatrix;
  readonly method: "sdp" | Baseline;
  readonly constraints: PartitionConstraints;
  readonly evaluator: PartitionEvaluator | undefined;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/** Above this many clients an iteration of the relaxation takes too long (15 to 100 ms at 500): spectral candidates alone. */
const SDP_CLIENTS = 600;
/** Above this many, where it takes seconds, the relaxation is solved only for the best number of groups. */
const RELAXED_EVERYWHERE = 150;
/** The relaxation is only to be rounded: beyond these, roundings no longer change. */
const SDP_ROUNDED = { tolerance: 1e-3, maxIterations: 80 };
/** Numbers of groups tried beyond the best so far before the search by number ends. */
export const PATIENCE = 4;
/** With a fixed number of groups, partitions with up to this many more groups are merged down to it. */
const FINER = 3;
/** Largest number of candidates that are refined. */
const REFINED = 4;
/**
 * Standard errors that a move in refining must gain: with one client of 24 in the wrong group the loss of the whole partition was 1 to 2
 * standard errors, while moves with any gain lead away from planted groups.
 */
const MOVE_MARGIN = 1;
/** Standard errors by which a partition is clearly worse than another, before it is refined. */
const CLEARLY = 3;

export class CandidateSearch {
  private readonly found = new Map<string, FoundPartition>();
  private readonly values = new Map<Partition, number>();
  private readonly clients: number;
  private readonly spectral: SpectralClustering;
  private readonly yieldToEventLoop: EventLoopYield;
  /** Highest value so far, and its number of groups. */
  private best = Number.NEGATIVE_INFINITY;
  private bestGroups: number;
  private evaluated = 0;

  constructor(private readonly options: SearchOptions) {
    const { standardised, seed, constraints, signal } = options;
    this.clients = standardised.length;
    this.spectral = new SpectralClustering(standardised, seed);
    this.yieldToEventLoop = eventLoopYield(signal);
    this.bestGroups = constraints.counts.fewest;
  }

  partitions(): FoundPartition[] {
    return [...this.found.values()];
  }

  /** Partitions evaluated, each once per candidate and once per change tried in refining. */
  get evaluations(): number {
    return this.evaluated;
  }

  /** Proposes partitions with each of these numbers of groups, until more groups no longer pay. @param numbers ascending */
  async propose(numbers: readonly number[]): Promise<void> {
    const { evaluator } = this.options;
    for (const groups of numbers) {
      throwIfAborted(this.options.signal);
      await this.evaluate(groups, await this.proposals(groups));
      if (evaluator !== undefined && groups >= this.bestGroups + PATIENCE) break;
    }
    const split = this.bestGroups > 1 && this.bestGroups < this.clients;
    if (this.relaxes && !this.relaxesEverywhere && split)
      await this.evaluate(this.bestGroups, [await this.relaxed(this.bestGroups)]);
  }

  /**
   * Merges groups two at a time and keeps the partitions on the way. Moves alone cannot undo one group split and two others joined: a
   * finer partition, merged by value, starts where moves cannot get to.
   * @param groups merges finer partitions down to this number; undefined: the best partition all the way down
   */
  async merge(evaluator: PartitionEvaluator, groups: number | undefined): Promise<void> {
    const { constraints, standardised, seed, signal } = this.options;
    const starts: Partition[] = [];
    if (groups === undefined) starts.push(bestOf(this.values));
    else if (groups > 1)
      for (let finer = groups + 1; finer <= Math.min(this.clients - 1, groups + FINER); finer++) {
        const spectral = await this.spectral.groups(finer, this.yieldToEventLoop);
        const start = constraints.repaired(spectral, standardised, seed);
        if (start !== undefined) starts.push(start);
      }
    for (const start of starts) {
      throwIfAborted(signal);
      const levels = await mergeDown(evaluator, start, groups ?? Math.max(2, constraints.counts.fewest), constraints);
      const fresh = levels
        .filter((level) => groups === undefined || level.length === groups)
        .filter((level) => this.add(level, "merged"));
      const values = await evaluator.values(fresh);
      fresh.forEach((partition, at) => {
        this.values.set(partition, values[at]!);
      });
    }
  }

  /**
   * Refines the partitions that could still be chosen, by moves, swaps and merges.
   * @param budget largest number of evaluations
   */
  async refine(evaluator: PartitionEvaluator, fixedGroups: boolean, budget: number): Promise<void> {
    const { constraints, signal } = this.options;
    this.evaluated = this.values.size;
    const starts = await worthRefining(evaluator, this.values, fixedGroups);
    for (const partition of starts) {
      throwIfAborted(signal);
      const refined = await refinePartition(evaluator, partition, this.clients, {
        budget: Math.ceil(budget / starts.length),
        fixedGroups,
        margin: MOVE_MARGIN,
        constraints,
        signal,
      });
      this.evaluated += refined.evaluated;
      this.add(refined.partition, "refined", refined.choices);
    }
  }

  private get relaxes(): boolean {
    return this.options.method === "sdp" && this.clients <= SDP_CLIENTS;
  }

  private get relaxesEverywhere(): boolean {
    return this.options.evaluator === undefined || this.clients <= RELAXED_EVERYWHERE;
  }

  private async proposals(groups: number): Promise<Proposal[]> {
    const everyone = Array.from({ length: this.clients }, (_, i) => i);
    if (groups === 1) return [{ partition: [everyone], source: "one" }];
    if (groups === this.clients) return [{ partition: everyone.map((i) => [i]), source: "apart" }];
    const first = this.relaxes && this.relaxesEverywhere ? [await this.relaxed(groups)] : [];
    const { method } = this.options;
    const source = method === "sdp" ? "spectral" : method;
    return [...first, { partition: await this.baseline(source, groups), source }];
  }

  private async relaxed(groups: number): Promise<Proposal> {
    const { standardised, seed, signal } = this.options;
    const { partition } = await solveGroupingSdp(standardised, { ...SDP_ROUNDED, groups, seed, signal });
    return { partition, source: "sdp" };
  }

  private async baseline(method: Baseline, groups: number): Promise<Partition> {
    const { affinity, standardised, seed } = this.options;
    switch (method) {
      case "spectral":
        return this.spectral.groups(groups, this.yieldToEventLoop);
      case "cocluster":
        return coClusterGroups(affinity, groups, seed);
      case "agglomerative":
        return agglomerativeGroups(standardised, groups);
      case "random":
        return randomPartition(this.clients, groups, seed);
    }
  }

  /** Keeps the new partitions among these proposals, repaired where they violate constraints, and evaluates them. */
  private async evaluate(groups: number, proposals: readonly Proposal[]): Promise<void> {
    const { constraints, standardised, seed, evaluator } = this.options;
    const fresh: Partition[] = [];
    for (const { partition: proposed, source } of proposals) {
      const partition = constraints.repaired(proposed, standardised, seed);
      if (partition !== undefined && this.add(partition, source)) fresh.push(partition);
    }
    if (evaluator === undefined) return;
    const values = await evaluator.values(fresh);
    fresh.forEach((partition, at) => {
      this.values.set(partition, values[at]!);
      if (values[at]! > this.best) {
        this.best = values[at]!;
        this.bestGroups = groups;
      }
    });
  }

  /** @returns whether the partition is new */
  private add(partition: Partition, source: CandidateSource, choices = 0): boolean {
    checkPartition(partition, this.clients);
    const key = partitionKey(partition);
    if (this.found.has(key)) return false;
    this.found.set(key, { partition, source, choices });
    return true;
  }
}

function bestOf(values: ReadonlyMap<Partition, number>): Partition {
  let best: Partition | undefined;
  for (const [partition, value] of values) if (best === undefined || value > values.get(best)!) best = partition;
  return best!;
}

/**
 * The partitions that could still be chosen. Where the number of groups is free: the best of each number that is not clearly worse than
 * the best of all, fewest groups first since the choice prefers them, and the best of all in any case.
 */
async function worthRefining(
  evaluator: PartitionEvaluator,
  values: ReadonlyMap<Partition, number>,
  fixedGroups: boolean,
): Promise<Partition[]> {
  const splits = [...values].filter(([partition]) => partition.length > 1).sort((a, b) => b[1] - a[1]);
  if (fixedGroups) return splits.slice(0, REFINED).map(([partition]) => partition);
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

/** Merges two groups at a time, the pair with the highest value, until `groups` are left. @returns each partition on the way */
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
