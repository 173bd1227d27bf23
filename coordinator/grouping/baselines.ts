/**
 * Baselines of grouping: spectral co-clustering of an affinity that is not symmetric (Dhillon 2001), average linkage, and the cosine of
 * clients' mean gradients. They use no evaluator, and take the number of groups as given or from the spectrum. Checked against
 * scikit-learn.
 */
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { SeededRng } from "../../shared/base/random.js";
import type { SquareMatrix } from "./density.js";
import { type Partition, partitionOf } from "./partition.js";
import { centredSpectrum, kMeans } from "./spectral.js";

/** Starts of k-means in co-clustering; the result with the least variance is kept. */
const STARTS = 10;

/**
 * Rows and columns of the bipartite graph of T, clustered together by its leading singular vectors; the rows' clusters are the
 * groups, so there may be fewer than requested where a cluster contains columns alone. Weights of a graph are not negative: each row
 * is shifted to start at zero, which under X e = e changes no grouping, and scaled to its range.
 *
 * @param affinity T, n rows of n
 */
export function coClusterGroups(affinity: readonly ArrayLike<number>[], groups: number, seed: number): Partition {
  const n = affinity.length;
  if (groups <= 1 || n === 1) return [Array.from({ length: n }, (_, i) => i)];
  const weights = affinity.map((row) => {
    const values = Array.from(row);
    const least = Math.min(...values);
    const range = Math.max(...values) - least;
    // A row without variation has equal weights.
    return values.map((value) => (range > 0 ? (value - least) / range : 1));
  });
  return partitionOf(coClusters(weights, groups, seed));
}

/** Label of each row of a matrix of weights, as scikit-learn's SpectralCoclustering. @param weights n rows of n, none negative */
export function coClusters(weights: readonly (readonly number[])[], groups: number, seed: number): Int32Array {
  const n = weights.length;
  const root = (sum: number) => (sum > 0 ? 1 / Math.sqrt(sum) : 0);
  const rows = weights.map((row) => root(row.reduce((a, b) => a + b, 0)));
  const columns = weights.map((_, j) => root(weights.reduce((sum, row) => sum + row[j]!, 0)));
  const normal = new Matrix(weights.map((row, i) => row.map((w, j) => w * rows[i]! * columns[j]!)));
  const { leftSingularVectors: left, rightSingularVectors: right } = new SingularValueDecomposition(normal);
  // The first pair contains the sizes of rows and columns alone.
  const width = Math.ceil(Math.log2(groups));
  const points = [...rows.map((d, i) => [d, i, left] as const), ...columns.map((d, j) => [d, j, right] as const)].map(
    ([d, at, vectors]) => Float64Array.from({ length: width }, (_, c) => d * vectors.get(at, 1 + c)),
  );
  let best: Int32Array | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let start = 0; start < STARTS; start++) {
    const labels = kMeans(points, groups, new SeededRng(seed, "co-clusters", groups, start));
    const spread = within(points, labels, groups);
    if (spread < least) [best, least] = [labels, spread];
  }
  return best!.slice(0, n);
}

/** Sum of squared distances to the cluster's mean. */
function within(points: readonly Float64Array[], labels: Int32Array, groups: number): number {
  const width = points[0]!.length;
  const size = new Int32Array(groups);
  const sum = new Float64Array(groups * width);
  let squares = 0;
  points.forEach((point, i) => {
    size[labels[i]!]!++;
    point.forEach((x, d) => {
      sum[labels[i]! * width + d]! += x;
      squares += x * x;
    });
  });
  for (let c = 0; c < groups; c++)
    for (let d = 0; d < width; d++) squares -= sum[c * width + d]! ** 2 / Math.max(1, size[c]!);
  return squares;
}

/** Average linkage: the two groups with the highest mean affinity are joined, until `groups` are left. @param affinity symmetric */
export function agglomerativeGroups(affinity: SquareMatrix, groups: number): Partition {
  const n = affinity.length;
  const mean = affinity.map((row) => Float64Array.from(row));
  const members = affinity.map((_, i) => [i]);
  const open = new Set(members.keys());
  while (open.size > Math.max(1, groups)) {
    let [a, b, most] = [-1, -1, Number.NEGATIVE_INFINITY];
    for (const i of open) for (const j of open) if (j < i && mean[i]![j]! > most) [a, b, most] = [j, i, mean[i]![j]!];
    if (a < 0) break;
    const [sizeA, sizeB] = [members[a]!.length, members[b]!.length];
    for (const c of open) mean[a]![c] = mean[c]![a] = (sizeA * mean[a]![c]! + sizeB * mean[b]![c]!) / (sizeA + sizeB);
    members[a]!.push(...members[b]!);
    open.delete(b);
  }
  const labels = new Int32Array(n);
  for (const c of open) for (const i of members[c]!) labels[i] = c;
  return partitionOf(labels);
}

/** Cosines of the clients' mean gradients (or their sketches), [clients] rows of [dim]; 0 with a client whose mean is zero. */
export function cosineAffinity(means: readonly Float64Array[]): Float64Array[] {
  const norms = means.map((mean) => Math.hypot(...mean));
  return means.map((a, i) =>
    Float64Array.from(means, (b, j) => {
      let product = 0;
      for (let d = 0; d < a.length; d++) product += a[d]! * b[d]!;
      return norms[i]! > 0 && norms[j]! > 0 ? product / (norms[i]! * norms[j]!) : 0;
    }),
  );
}

/**
 * The number of groups by the widest gap between eigenvalues of a standardised affinity in the complement of the ones, where m groups
 * give m - 1 large ones. A spectrum has a widest gap with or without groups, so the result is at least 2, except for one client.
 *
 * @param most largest number of groups
 */
export async function groupsByEigengap(standardised: SquareMatrix, most: number): Promise<number> {
  const n = standardised.length;
  const values = await centredSpectrum(standardised);
  let [groups, widest] = [Math.min(n, 2), Number.NEGATIVE_INFINITY];
  for (let k = 2; k <= Math.min(most, n - 1); k++) {
    const gap = values[k - 2]! - values[k - 1]!;
    if (gap > widest + 1e-12) [groups, widest] = [k, gap];
  }
  return groups;
}
