/**
 * The estimated value of a whole partition: sum over clients of weight_i * f_i(group of i), with the surrogate of every group solved.
 * In the paper the affinities alone decide; but a mean over random subsets does not determine the value of a particular group.
 *
 * Groups are cached by their members, so a move costs two surrogates, and the groups of one call are solved together. It
 * knows nothing of the search for partitions.
 *
 * Differences between partitions are paired: both are evaluated on the same held-out examples, and the standard error of a
 * difference is that of a bootstrap which resamples each client's held-out examples, in closed form:
 * sqrt(sum_i weight_i^2 var_i / n_i), var_i the variance of the differences over client i's n_i examples.
 */
import { KindredError } from "../../shared/base/errors.js";
import { type Half, halfOf, heldOutLosses, mean } from "./evaluate.js";
import { fitHeldOut, type HeldOutFits } from "./held-out.js";
import type { SurrogateSolver } from "./surrogate.js";

export interface PairedGain {
  /** Value of the candidate minus value of the reference. */
  readonly gain: number;
  readonly standardError: number;
}

export interface EvaluatorOptions {
  /** Weight of each client; scaled to sum to 1. @default equal weights */
  weights?: ArrayLike<number> | undefined;
  /** Called with the number of groups after they have been solved. */
  onSolved?: ((groups: number) => void) | undefined;
}

/** Held-out losses of a group's members, ascending. */
interface Losses {
  /** [examples] each. */
  readonly examples: readonly Float64Array[];
  readonly means: Float64Array;
}

class EvaluatedGroup {
  private readonly seen = new Map<Half | undefined, Losses>();

  constructor(
    /** [dim], one per fold. */
    readonly weights: readonly Float64Array[],
    /** lambda_0 chosen. */
    readonly lambda: number,
    private readonly examples: readonly Float64Array[],
  ) {}

  /** Returns the same arrays each time: a search asks a thousand times. */
  losses(half: Half | undefined): Losses {
    const before = this.seen.get(half);
    if (before !== undefined) return before;
    const examples = half === undefined ? this.examples : this.examples.map((all) => halfOf(all, half));
    const losses = { examples, means: Float64Array.from(examples, mean) };
    this.seen.set(half, losses);
    return losses;
  }
}

type Groups = readonly (readonly number[])[];

/** Largest number of solved groups kept: far more than the refinement of 500 clients visits, at 400 numbers each. */
const MOST_CACHED = 20_000;

export class SurrogateEvaluator {
  private cache = new Map<string, EvaluatedGroup>();
  /** Groups solved from a neighbour's weights; those in `cache` take precedence. */
  private nearby = new Map<string, EvaluatedGroup>();
  private half: Half | undefined;
  private readonly share: Float64Array;
  /** Surrogates kept so far: one per group and fold. */
  solved = 0;

  constructor(
    private readonly solver: SurrogateSolver,
    private readonly options: EvaluatorOptions = {},
  ) {
    const { weights } = options;
    const n = solver.problem.clients.length;
    const given = weights ?? new Float64Array(n).fill(1);
    let total = 0;
    for (let i = 0; i < n; i++) {
      if (!(given[i]! >= 0 && Number.isFinite(given[i])))
        throw new KindredError(
          "invalid_option",
          `weight of client ${solver.problem.clients[i]}: must be a finite number of at least 0, got ${given[i]}`,
          {},
        );
      total += given[i]!;
    }
    if (total === 0) throw new KindredError("invalid_option", "at least one client's weight must be positive", {});
    this.share = Float64Array.from({ length: n }, (_, i) => given[i]! / total);
  }

  /** This evaluator on one half of every client's held-out examples; both share the solved groups. */
  onHalf(half: Half): SurrogateEvaluator {
    const evaluator = new SurrogateEvaluator(this.solver, { ...this.options, weights: this.share });
    evaluator.cache = this.cache;
    evaluator.nearby = this.nearby;
    evaluator.half = half;
    return evaluator;
  }

  /**
   * Value of each partition: minus the weighted mean held-out loss, nats per example. All new groups are solved together.
   * @param near groups that differ little from a group of this partition are solved from its weights, at its lambda
   */
  async values(partitions: readonly Groups[], near?: Groups): Promise<Float64Array> {
    if (near === undefined) await this.solve(partitions.flat());
    else await this.solveNear(partitions.flat(), near);
    return Float64Array.from(partitions, (partition) => {
      let value = 0;
      for (const group of partition) {
        const { means } = this.group(group).losses(this.half);
        sorted(group).forEach((client, s) => {
          value -= this.share[client]! * means[s]!;
        });
      }
      return value;
    });
  }

  /**
   * The gain of `candidate` over `reference`, and its standard error over held-out examples.
   * @param counts weight of each client, in place of the evaluator's weights; not all 0
   */
  async compare(candidate: Groups, reference: Groups, counts?: ArrayLike<number>): Promise<PairedGain> {
    const share = counts === undefined ? this.share : scaled(counts);
    await this.solve([...candidate, ...reference].filter((group) => !this.nearby.has(keyOf(group))));
    const n = share.length;
    const ours = this.clientLosses(candidate);
    const theirs = this.clientLosses(reference);
    const gains = new Float64Array(n);
    const variances = new Float64Array(n).fill(Number.NaN);
    const examples = new Float64Array(n);
    let pooled = 0;
    let freedom = 0;
    for (let i = 0; i < n; i++) {
      const [own, other] = [ours[i]!, theirs[i]!];
      const count = own.length;
      examples[i] = count;
      let squares = 0;
      // A client whose group is the same in both has the same array of losses.
      if (own !== other) {
        for (let e = 0; e < count; e++) gains[i]! += (other[e]! - own[e]!) / count;
        for (let e = 0; e < count; e++) squares += (other[e]! - own[e]! - gains[i]!) ** 2;
      }
      if (count < 2) continue;
      variances[i] = squares / (count - 1);
      pooled += squares;
      freedom += count - 1;
    }
    // The variance of a client with one held-out example is unknown: the pooled one of the others stands for it, or that between clients.
    const elsewhere = freedom > 0 ? pooled / freedom : varianceOf(gains);
    let gain = 0;
    let variance = 0;
    for (let i = 0; i < n; i++) {
      gain += share[i]! * gains[i]!;
      const own = Number.isNaN(variances[i]!) ? elsewhere : variances[i]!;
      variance += (share[i]! ** 2 * own) / examples[i]!;
    }
    return { gain, standardError: Math.sqrt(variance) };
  }

  /** f of each client under each group's weights, [clients][groups]: the search ranks moves by it. */
  async valuesInGroups(partition: Groups): Promise<Float64Array[]> {
    await this.solve(partition);
    const { dim, clients } = this.solver.problem;
    const folds = this.solver.problem.folds?.count ?? 1;
    const weights = Array.from({ length: folds }, (_, fold) => {
      const all = new Float64Array(partition.length * dim);
      partition.forEach((group, c) => {
        all.set(this.group(group).weights[fold]!, c * dim);
      });
      return all;
    });
    const client = new Int32Array(clients.length * partition.length);
    const weight = new Int32Array(client.length);
    for (let p = 0; p < client.length; p++) {
      client[p] = Math.floor(p / partition.length);
      weight[p] = p % partition.length;
    }
    const losses = await heldOutLosses(this.solver, weights, { client, weight }, partition);
    return clients.map((_, i) =>
      Float64Array.from(
        { length: partition.length },
        (_, c) => -mean(halfOf(losses[i * partition.length + c]!, this.half)),
      ),
    );
  }

  /** f of every client under its group, nats per example. */
  async clientValues(partition: Groups): Promise<Float64Array> {
    await this.solve(partition);
    return Float64Array.from(this.clientLosses(partition), (losses) => -mean(losses));
  }

  private clientLosses(partition: Groups): Float64Array[] {
    const result: Float64Array[] = new Array(this.share.length);
    for (const group of partition) {
      const { examples } = this.group(group).losses(this.half);
      sorted(group).forEach((client, s) => {
        result[client] = examples[s]!;
      });
    }
    return result;
  }

  private group(group: readonly number[]): EvaluatedGroup {
    const key = keyOf(group);
    return (this.cache.get(key) ?? this.nearby.get(key)) as EvaluatedGroup;
  }

  private async solve(groups: Groups): Promise<void> {
    // Emptied, not replaced: the evaluators of both halves share it.
    if (this.cache.size > MOST_CACHED) this.cache.clear();
    const subsets = unsolved(groups, (key) => this.cache.has(key));
    if (subsets.length > 0) this.keep(subsets, await fitHeldOut(this.solver, subsets), this.cache);
  }

  private async solveNear(groups: Groups, near: Groups): Promise<void> {
    if (this.nearby.size > MOST_CACHED) this.nearby.clear();
    await this.solve(near);
    const { dim, folds } = this.solver.problem;
    const fresh = unsolved(groups, (key) => this.cache.has(key) || this.nearby.has(key));
    const neighbours = fresh.map((members) => neighbourOf(members, near));
    const far = fresh.filter((_, k) => neighbours[k] === undefined);
    await this.solve(far);
    const subsets = fresh.filter((_, k) => neighbours[k] !== undefined);
    if (subsets.length === 0) return;
    const from = neighbours.flatMap((group) => (group === undefined ? [] : [this.group(group)]));
    const weights = Array.from({ length: folds?.count ?? 1 }, (_, fold) => {
      const all = new Float64Array(subsets.length * dim);
      from.forEach((group, k) => {
        all.set(group.weights[fold]!, k * dim);
      });
      return all;
    });
    const lambda = Float64Array.from(from, (group) => group.lambda);
    this.keep(subsets, await fitHeldOut(this.solver, subsets, { weights, lambda }), this.nearby);
  }

  private keep(subsets: Groups, { weights, losses, lambda }: HeldOutFits, cache: Map<string, EvaluatedGroup>): void {
    const { dim } = this.solver.problem;
    this.solved += subsets.length * weights.length;
    this.options.onSolved?.(subsets.length);
    subsets.forEach((members, k) => {
      const own = weights.map((all) => all.slice(k * dim, (k + 1) * dim));
      cache.set(members.join(), new EvaluatedGroup(own, lambda[k]!, losses[k]!));
    });
  }
}

/** The groups that are not solved yet, each once, their members ascending. */
function unsolved(groups: Groups, known: (key: string) => boolean): Groups {
  const fresh = new Map<string, readonly number[]>();
  for (const group of groups) {
    const members = sorted(group);
    const key = members.join();
    if (!known(key)) fresh.set(key, members);
  }
  return [...fresh.values()];
}

/**
 * Largest difference of a neighbour as a share of the group's members. In groups of four clients the estimated effect of a move erred
 * by a third, since the neighbour's lambda no longer suits; in groups of twelve by less than a tenth.
 */
const MOST_APART = 1 / 6;

/** The group of `near` that differs least; undefined where it differs too much. */
function neighbourOf(members: readonly number[], near: Groups): readonly number[] | undefined {
  const own = new Set(members);
  let best: readonly number[] | undefined;
  let least = MOST_APART * members.length;
  for (const group of near) {
    let shared = 0;
    for (const i of group) if (own.has(i)) shared++;
    const apart = members.length + group.length - 2 * shared;
    if (shared > 0 && apart <= least) {
      least = apart;
      best = group;
    }
  }
  return best;
}

function keyOf(group: readonly number[]): string {
  return sorted(group).join();
}

/** The members ascending; the same array where they are, as in almost all partitions. */
function sorted(group: readonly number[]): readonly number[] {
  for (let at = 1; at < group.length; at++) if (group[at]! < group[at - 1]!) return group.toSorted((a, b) => a - b);
  return group;
}

/** To a sum of 1. */
function scaled(counts: ArrayLike<number>): Float64Array {
  const share = Float64Array.from(counts);
  const total = share.reduce((a, b) => a + b, 0);
  return share.map((count) => count / total);
}

function varianceOf(values: Float64Array): number {
  if (values.length < 2) return 0;
  const centre = mean(values);
  let squares = 0;
  for (const x of values) squares += (x - centre) ** 2;
  return squares / (values.length - 1);
}
