/**
 * The subsets of clients that the estimator evaluates: k subsets of one size that together cover every pair of clients.
 *
 * Affinity T_ij is a mean over the subsets that contain both i and j, so an uncovered pair has no affinity. Purely random
 * subsets miss pairs (at the paper's 50 x 3 for n = 10 about 3 % of them) and cover others many times; a greedy design
 * with random ties takes the least covered clients and pairs first. It knows nothing of the clients' data.
 *
 * Sizes follow Li et al. 2025 (arXiv 2505.21930): 50 x 3 at n = 10, 1000 x 10 at n = 100, 2000 x 25 at n = 500.
 */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Design } from "../../shared/config/enumerations.js";

export interface SubsetPlan {
  /** Clients of each subset, ascending. */
  readonly subsets: readonly Int32Array[];
  /** Clients per subset. */
  readonly size: number;
  /** Number of subsets that contain a pair i < j; all zero for a single client. */
  readonly pairCoverage: { readonly min: number; readonly mean: number; readonly max: number };
  /** Number of subsets that contain a client: fewest and most over the clients. */
  readonly clientCount: { readonly min: number; readonly max: number };
}

export interface SamplerOptions {
  /** Clients per subset, 1 .. clients. @default sqrt(clients) rounded, at least 2 (fewer where there are fewer clients) */
  size?: number | undefined;
  /** Number of subsets k. @default by `coverage` */
  subsets?: number | undefined;
  /** Mean number of subsets that contain a pair. @default 8, and at most 2000 subsets unless all pairs need more */
  coverage?: number | undefined;
  /** @default "balanced" */
  design?: Design | undefined;
  /** @default 0 */
  seed?: number | undefined;
}

/** Default coverage of a pair: the paper's 1000 x 10 at n = 100 gives 9. */
export const DEFAULT_COVERAGE = 8;
const DEFAULT_MOST_SUBSETS = 2000;
/** Attempts to cover all pairs with a k close to the smallest. */
const ATTEMPTS = 12;
/** Attempts to draw a subset that is not in the family yet. */
const DISTINCT_ATTEMPTS = 20;
/** More subsets than this cannot be solved in a reasonable time. */
const MOST_SUBSETS = 1_000_000;

/** The default subset size for n clients. */
export function defaultSubsetSize(clients: number): number {
  return Math.min(clients, Math.max(2, Math.round(Math.sqrt(clients))));
}

/**
 * Draws a covering family of subsets. Same seed, same family. Where fewer distinct subsets exist than requested, each is drawn
 * once (a repeated subset carries no information).
 *
 * @throws {KindredError} `invalid_option` when the size or number is out of range, or too small to cover all pairs; the
 *   message gives the smallest sufficient number
 */
export function sampleSubsets(clients: number, options: SamplerOptions = {}): SubsetPlan {
  const { seed = 0, design: kind = "balanced" } = options;
  if (!Number.isInteger(clients) || clients < 1)
    throw new KindredError("invalid_option", `clients must be a whole number of at least 1, got ${clients}`, {
      clients,
    });
  const size = options.size ?? (kind === "pairs" ? Math.min(2, clients) : defaultSubsetSize(clients));
  if (!Number.isInteger(size) || size < 1 || size > clients)
    throw new KindredError("invalid_option", `estimation.subsetSize must be 1..${clients} (clients), got ${size}`, {
      clients,
      size,
    });
  if (size === 1 && clients > 1)
    throw new KindredError(
      "invalid_option",
      `estimation.subsetSize must be at least 2: a subset of one client covers no pair (${clients} clients)`,
      { clients, size },
    );
  const wanted = options.subsets;
  if (wanted !== undefined && (!Number.isInteger(wanted) || wanted < 1 || wanted > MOST_SUBSETS))
    throw new KindredError("invalid_option", `estimation.subsets must be 1..${MOST_SUBSETS}, got ${wanted}`, {
      subsets: wanted,
    });

  const possible = binomial(clients, size);
  const pairs = (clients * (clients - 1)) / 2;
  if (kind === "pairs") {
    if (size > 2 || (wanted !== undefined && wanted !== possible))
      throw new KindredError(
        "invalid_option",
        `estimation.design: pairs takes all ${pairs} pairs of ${clients} clients; leave out estimation.subsets and estimation.subsetSize`,
        { design: kind, size, subsets: wanted },
      );
    return describe(clients, size, allSubsets(clients, size));
  }
  const pairsASubset = (size * (size - 1)) / 2;
  const covering = (times: number) => Math.max(1, Math.ceil((times * pairs) / Math.max(1, pairsASubset)));
  const { coverage } = options;
  if (coverage !== undefined && !(coverage > 0 && covering(coverage) <= MOST_SUBSETS))
    throw new KindredError("invalid_option", `coverage must be positive and take at most ${MOST_SUBSETS} subsets`, {
      coverage,
    });
  const target =
    wanted ??
    (coverage === undefined ? Math.min(DEFAULT_MOST_SUBSETS, covering(DEFAULT_COVERAGE)) : covering(coverage));

  if (possible <= target) return describe(clients, size, allSubsets(clients, size));
  if (kind === "uniform") {
    const family = new Family(clients, size, new SeededRng(seed, "uniform subsets"));
    while (family.subsets.length < target) family.addUniform();
    family.cover();
    return describe(clients, size, family.subsets);
  }

  const lowest = schoenheim(clients, size);
  let best: Family | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const family = new Family(clients, size, new SeededRng(seed, "subsets", attempt));
    family.cover();
    if (best === undefined || family.subsets.length < best.subsets.length) best = family;
    if (wanted === undefined || family.subsets.length <= target || lowest > target) break;
  }
  const family = best!;
  if (wanted !== undefined && family.subsets.length > wanted)
    throw new KindredError(
      "invalid_option",
      `estimation.subsets: ${wanted} subsets of ${size} cannot cover all ${pairs} pairs of ${clients} clients; ` +
        `${family.subsets.length} is the smallest number that the sampler covers them with` +
        (wanted < lowest ? ` (none does with fewer than ${lowest})` : "") +
        "; raise estimation.subsets or estimation.subsetSize",
      { subsets: wanted, size, clients, smallest: family.subsets.length },
    );
  while (family.subsets.length < target) family.add();
  return describe(clients, size, family.subsets);
}

/** The subsets drawn so far and their coverage of clients and pairs. */
class Family {
  readonly subsets: Int32Array[] = [];
  private readonly pairCount: Uint16Array;
  private readonly clientCount: Int32Array;
  private readonly seen = new Set<string>();
  private uncovered: number;
  /** Per client: number of clients that no subset contains together with it yet. */
  private readonly open: Int32Array;

  constructor(
    private readonly n: number,
    private readonly size: number,
    private readonly rng: SeededRng,
  ) {
    this.pairCount = new Uint16Array(n * n);
    this.clientCount = new Int32Array(n);
    this.uncovered = (n * (n - 1)) / 2;
    this.open = new Int32Array(n).fill(n - 1);
  }

  /** Adds subsets until every pair is covered: each subset covers at least one new pair, so this ends. */
  cover(): void {
    while (this.uncovered > 0) this.add();
  }

  /** Least covered pairs and least used clients first, ties by chance. */
  add(): void {
    this.take(() => this.draw());
  }

  addUniform(): void {
    this.take(() => Int32Array.from(this.rng.permutation(this.n).slice(0, this.size)).sort());
  }

  private take(draw: () => Int32Array): void {
    let subset = draw();
    for (let i = 0; i < DISTINCT_ATTEMPTS && this.seen.has(subset.join()); i++) subset = draw();
    this.seen.add(subset.join());
    for (let a = 0; a < subset.length; a++) {
      const i = subset[a]!;
      this.clientCount[i]!++;
      for (let b = 0; b < a; b++) {
        const j = subset[b]!;
        if (this.pairCount[i * this.n + j] === 0) {
          this.uncovered--;
          this.open[i]!--;
          this.open[j]!--;
        }
        this.pairCount[i * this.n + j]!++;
        this.pairCount[j * this.n + i]!++;
      }
    }
    this.subsets.push(subset);
  }

  private draw(): Int32Array {
    const { n, size, rng, pairCount, clientCount } = this;
    const chosen = new Uint8Array(n);
    const members = new Int32Array(size);
    // Cost of choosing j: the number of its subsets with the chosen ones; an uncovered pair outweighs any count. Random ties.
    const cost = new Float64Array(n);
    const floor = clientCount.reduce((a, b) => Math.min(a, b));
    for (let j = 0; j < n; j++) cost[j] = rng.uniform() + (clientCount[j]! - floor) * 0.5;
    for (let a = 0; a < size; a++) {
      let pick = -1;
      if (a === 0 && this.uncovered > 0) pick = this.mostUncovered();
      else {
        // The second client shares no subset with the first, regardless of its own count: otherwise clients with many subsets, as a
        // uniform design has them, would never be chosen.
        const meets = a === 1 && this.uncovered > 0 ? members[0]! * n : undefined;
        for (let j = 0; j < n; j++) {
          if (chosen[j] || (meets !== undefined && pairCount[meets + j] !== 0)) continue;
          if (pick < 0 || cost[j]! < cost[pick]!) pick = j;
        }
      }
      chosen[pick] = 1;
      members[a] = pick;
      for (let j = 0; j < n; j++) {
        const count = pairCount[pick * n + j]!;
        cost[j]! += count === 0 ? -COVER_BONUS : count;
      }
    }
    return members.sort();
  }

  /** The client with the most uncovered pairs: this start bounds the number of subsets that coverage takes. */
  private mostUncovered(): number {
    const { n, open } = this;
    let pick = 0;
    let most = -1;
    const start = this.rng.int(n);
    for (let s = 0; s < n; s++) {
      const i = (start + s) % n;
      if (open[i]! > most) {
        most = open[i]!;
        pick = i;
      }
    }
    return pick;
  }
}

const COVER_BONUS = 4;

function describe(n: number, size: number, subsets: readonly Int32Array[]): SubsetPlan {
  const pairCount = new Int32Array(n * n);
  const clientCount = new Int32Array(n);
  for (const subset of subsets)
    for (const i of subset) {
      clientCount[i]!++;
      for (const j of subset) pairCount[i * n + j]!++;
    }
  let min = n > 1 ? Number.POSITIVE_INFINITY : 0;
  let max = 0;
  let sum = 0;
  for (let i = 0; i < n; i++)
    for (let j = 0; j < i; j++) {
      const count = pairCount[i * n + j]!;
      min = Math.min(min, count);
      max = Math.max(max, count);
      sum += count;
    }
  return {
    subsets,
    size,
    pairCoverage: { min, mean: n > 1 ? sum / ((n * (n - 1)) / 2) : 0, max },
    clientCount: { min: Math.min(...clientCount), max: Math.max(...clientCount) },
  };
}

/** Schoenheim's lower bound on the number of `size`-subsets that cover all pairs of n. */
function schoenheim(n: number, size: number): number {
  if (n === 1 || size === n) return 1;
  return Math.ceil((n / size) * Math.ceil((n - 1) / (size - 1)));
}

/** n over k; Infinity above 1e12. */
export function binomial(n: number, k: number): number {
  let result = 1;
  for (let i = 1; i <= Math.min(k, n - k); i++) {
    result = (result * (n - i + 1)) / i;
    if (result > 1e12) return Number.POSITIVE_INFINITY;
  }
  return Math.round(result);
}

function allSubsets(n: number, size: number): Int32Array[] {
  const result: Int32Array[] = [];
  const members = new Int32Array(size);
  const extend = (at: number, from: number): void => {
    if (at === size) {
      result.push(members.slice());
      return;
    }
    for (let i = from; i <= n - (size - at); i++) {
      members[at] = i;
      extend(at + 1, i + 1);
    }
  };
  extend(0, 0);
  return result;
}
