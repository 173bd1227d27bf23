/**
 * Rounding by eigenvectors, and spectral clustering: k-means++ (Arthur and Vassilvitskii 2007), seeded, on the leading
 * eigenvectors of a symmetric matrix. It knows nothing of clients.
 */
import { SeededRng } from "../../shared/base/random.js";
import { decomposeApart, type EigenPairs } from "../algebra/eigen.js";
import type { EventLoopYield } from "../algebra/yield.js";
import { density, improveDensity, type SquareMatrix } from "./density.js";
import { type Partition, partitionOf } from "./partition.js";

const STARTS = 10;
const ITERATIONS = 60;

/** [n, n] in one array. */
function flat(matrix: SquareMatrix): Float64Array {
  const out = new Float64Array(matrix.length ** 2);
  matrix.forEach((row, i) => {
    out.set(row, i * matrix.length);
  });
  return out;
}

/** Eigenvalues, descending, of a symmetric matrix in the complement of the ones, and a zero for the ones. */
export async function centredSpectrum(matrix: SquareMatrix): Promise<Float64Array> {
  const n = matrix.length;
  const mean = matrix.map((row) => row.reduce((a, b) => a + b, 0) / n);
  const all = mean.reduce((a, b) => a + b, 0) / n;
  const centred = matrix.map((row, i) => row.map((x, j) => x - mean[i]! - mean[j]! + all));
  return (await decomposeApart(flat(centred), n)).values;
}

/**
 * Spectral clustering of a standardised affinity into any number of groups, the cheap alternative to the SDP: k-means on the rows of
 * its leading eigenvectors, scaled by the root of their eigenvalues. The eigenvectors are computed once.
 */
export class SpectralClustering {
  private pairs: Promise<EigenPairs> | undefined;

  constructor(
    private readonly standardised: SquareMatrix,
    private readonly seed: number,
  ) {}

  /** A partition into exactly `count` groups. */
  async groups(count: number, yieldToEventLoop: EventLoopYield): Promise<Partition> {
    const { standardised, seed } = this;
    const n = standardised.length;
    if (count <= 1 || count >= n) return roundPoints([], standardised, count, seed, yieldToEventLoop);
    this.pairs ??= decomposeApart(flat(standardised), n);
    const { values, vectors } = await this.pairs;
    const points = Array.from({ length: n }, (_, i) =>
      Float64Array.from({ length: count }, (_, c) => vectors[c * n + i]! * Math.sqrt(Math.max(values[c]!, 0))),
    );
    return roundPoints(points, standardised, count, seed, yieldToEventLoop);
  }
}

/**
 * Exactly `groups` groups (one client each where there are no more clients): k-means on one point per client, from several
 * starts, each improved by moves on `objective`; the densest result is returned.
 */
export async function roundPoints(
  points: readonly Float64Array[],
  objective: SquareMatrix,
  groups: number,
  seed: number,
  yieldToEventLoop: EventLoopYield,
): Promise<Partition> {
  const n = objective.length;
  if (groups <= 1 || n === 1) return [Array.from({ length: n }, (_, i) => i)];
  if (groups >= n) return Array.from({ length: n }, (_, i) => [i]);
  let best: Partition | undefined;
  let most = Number.NEGATIVE_INFINITY;
  for (let start = 0; start < STARTS; start++) {
    const labels = kMeans(points, groups, new SeededRng(seed, "kmeans", groups, start));
    const partition = improveDensity(objective, partitionOf(labels));
    const value = density(objective, partition);
    if (value > most + 1e-12) {
      most = value;
      best = partition;
    }
    await yieldToEventLoop();
  }
  return best!;
}

/** Labels of Lloyd's iterations from a k-means++ start; every label is used. */
export function kMeans(points: readonly Float64Array[], k: number, rng: SeededRng): Int32Array {
  const n = points.length;
  const width = points[0]!.length;
  const distance = (a: Float64Array, b: Float64Array): number => {
    let sum = 0;
    for (let d = 0; d < width; d++) sum += (a[d]! - b[d]!) ** 2;
    return sum;
  };
  const centres: Float64Array[] = [points[rng.int(n)]!.slice()];
  const nearest = points.map((point) => distance(point, centres[0]!));
  while (centres.length < k) {
    const total = nearest.reduce((a, b) => a + b, 0);
    let pick = rng.int(n);
    if (total > 0) {
      let left = rng.uniform() * total;
      for (pick = 0; pick < n - 1; pick++) {
        left -= nearest[pick]!;
        if (left < 0) break;
      }
    }
    const centre = points[pick]!.slice();
    centres.push(centre);
    points.forEach((point, i) => {
      nearest[i] = Math.min(nearest[i]!, distance(point, centre));
    });
  }
  const labels = new Int32Array(n);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    let changed = iteration === 0;
    const size = new Int32Array(k);
    points.forEach((point, i) => {
      let to = 0;
      let least = Number.POSITIVE_INFINITY;
      centres.forEach((centre, c) => {
        const d = distance(point, centre);
        if (d < least) {
          least = d;
          to = c;
        }
      });
      if (labels[i] !== to) changed = true;
      labels[i] = to;
      size[to]!++;
    });
    // An empty cluster takes the point with the largest distance from its centre.
    for (let c = 0; c < k; c++) {
      if (size[c]! > 0) continue;
      let worst = -1;
      let most = -1;
      points.forEach((point, i) => {
        const d = distance(point, centres[labels[i]!]!);
        if (size[labels[i]!]! > 1 && d > most) {
          most = d;
          worst = i;
        }
      });
      size[labels[worst]!]!--;
      labels[worst] = c;
      size[c] = 1;
      changed = true;
    }
    for (let c = 0; c < k; c++) centres[c] = new Float64Array(width);
    points.forEach((point, i) => {
      const centre = centres[labels[i]!]!;
      for (let d = 0; d < width; d++) centre[d]! += point[d]! / size[labels[i]!]!;
    });
    if (!changed) break;
  }
  return labels;
}
