/**
 * The estimator's judgement of a whole partition: sum over clients of weight_i * f_i(group of i), with the surrogate solved for
 * every group as it is. Not in the paper, where affinities alone decide; a mean over random subsets cannot say how a
 * particular group will fare.
 *
 * Groups are cached by their members, so a move costs two surrogates, and everything asked together is solved together. It
 * knows nothing of how partitions are found.
 *
 * Differences between partitions are paired: both are seen by the same held-out examples, and the standard error of a
 * difference is that of a bootstrap which resamples each client's held-out examples, in closed form:
 * sqrt(sum_i weight_i^2 var_i / n_i), var_i the variance of the differences over client i's n_i examples.
 */
import { KindredError } from "../../shared/base/errors.js";
import { type Half, halfOf, heldOutLosses, mean } from "./evaluate.js";
import { fitHeldOut, type HeldOutFits } from "./held-out.js";
import type { SurrogateSolver } from "./surrogate.js";

export interface Comparison {
  /** Value of the one minus value of the other. */
  readonly gain: number;
  readonly standardError: number;
}

export interface JudgeOptions {
  /** What each client counts for; scaled to sum to 1. @default all alike */
  weights?: ArrayLike<number> | undefined;
  /** Called as groups have been solved, with how many. */
  onSolved?: ((groups: number) => void) | undefined;
}

/** Held-out losses of a group's members, ascending. */
interface Losses {
  /** [examples] each. */
  readonly examples: readonly Float64Array[];
  readonly means: Float64Array;
}

class JudgedGroup {
  private readonly seen = new Map<Half | undefined, Losses>();

  constructor(
    /** [dim], one a fold. */
    readonly weights: readonly Float64Array[],
    /** lambda_0 chosen. */
    readonly lambda: number,
    private readonly examples: readonly Float64Array[],
  ) {}

  /** The same arrays each time it is asked: a search asks a thousand times. */
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

/** Solved groups kept; far more than the refinement of 500 clients visits, at 400 numbers each. */
const MOST_CACHED = 20_000;

export class EstimatorJudge {
  private cache = new Map<string, JudgedGroup>();
  /** Solved from a neighbour's weights; `cache` goes first. */
  private nearby = new Map<string, JudgedGroup>();
  private half: Half | undefined;
  private readonly share: Float64Array;
  /** Surrogates kept so far: one a group and fold. */
  solved = 0;

  constructor(
    private readonly solver: SurrogateSolver,
    private readonly options: JudgeOptions = {},
  ) {
    const { weights } = options;
    const n = solver.problem.clients.length;
    const given = weights ?? new Float64Array(n).fill(1);
    let total = 0;
    for (let i = 0; i < n; i++) {
      if (!(given[i]! >= 0 && Number.isFinite(given[i])))
        throw new KindredError(
          "invalid_option",
          `weight of client ${solver.problem.clients[i]} must be at least 0, got ${given[i]}`,
          {},
        );
      total += given[i]!;
    }
    if (total === 0) throw new KindredError("invalid_option", "at least one client's weight must be positive", {});
    this.share = Float64Array.from({ length: n }, (_, i) => given[i]! / total);
  }

  /** The same judge, which sees one half of every client's held-out examples; what is solved serves both. */
  onHalf(half: Half): EstimatorJudge {
    const judge = new EstimatorJudge(this.solver, { ...this.options, weights: this.share });
    judge.cache = this.cache;
    judge.nearby = this.nearby;
    judge.half = half;
    return judge;
  }

  /**
   * Value of each partition: minus the weighted mean held-out loss, nats an example. All new groups are solved together.
   * @param near groups that differ by little from one of this partition's are solved from its weights, at its lambda
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
   * How much better `candidate` is than `reference`, and how sure that is over held-out examples.
   * @param counts what each client counts for, in place of the judge's weights; not all 0
   */
  async compare(candidate: Groups, reference: Groups, counts?: ArrayLike<number>): Promise<Comparison> {
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
      // Where the client's group is the same in both, so are its losses.
      if (own !== other) {
        for (let e = 0; e < count; e++) gains[i]! += (other[e]! - own[e]!) / count;
        for (let e = 0; e < count; e++) squares += (other[e]! - own[e]! - gains[i]!) ** 2;
      }
      if (count < 2) continue;
      variances[i] = squares / (count - 1);
      pooled += squares;
      freedom += count - 1;
    }
    // A client with one held-out example has no variance of its own: it takes the others', or that between clients.
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

  /** How each client would fare under each group's weights as they are: [clients][groups] of f. What moves are proposed by. */
  async forecast(partition: Groups): Promise<Float64Array[]> {
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

  /** f of every client under its group, nats an example. */
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

  private group(group: readonly number[]): JudgedGroup {
    const key = keyOf(group);
    return (this.cache.get(key) ?? this.nearby.get(key)) as JudgedGroup;
  }

  private async solve(groups: Groups): Promise<void> {
    // Emptied, not replaced: the judges of both halves share it.
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

  private keep(subsets: Groups, { weights, losses, lambda }: HeldOutFits, cache: Map<string, JudgedGroup>): void {
    const { dim } = this.solver.problem;
    this.solved += subsets.length * weights.length;
    this.options.onSolved?.(subsets.length);
    subsets.forEach((members, k) => {
      const own = weights.map((all) => all.slice(k * dim, (k + 1) * dim));
      cache.set(members.join(), new JudgedGroup(own, lambda[k]!, losses[k]!));
    });
  }
}

/** The groups that are not known yet, each once, their members ascending. */
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
 * Share of a group's members by which a neighbour may differ. Of four clients a move was estimated wrong by a third of what it
 * changes, since the neighbour's lambda no longer suits; of twelve by less than a tenth.
 */
const MOST_APART = 1 / 6;

/** The group that differs least, where that is little. */
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

/** Ascending, as nearly all partitions have their groups. */
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
