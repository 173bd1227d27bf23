/**
 * Rounding by eigenvectors, and spectral clustering: k-means++ (Arthur and Vassilvitskii 2007), seeded, on the leading
 * eigenvectors of a symmetric matrix. Knows nothing of clients.
 */
import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { SeededRng } from "../../shared/base/random.js";
import { density, improveDensity, type SquareMatrix } from "./density.js";
import { type Partition, partitionOf } from "./partition.js";

const STARTS = 10;
const ITERATIONS = 60;

/** Eigenvalues ascending and eigenvectors as columns. */
export function eigen(matrix: SquareMatrix): { values: readonly number[]; vectors: Matrix } {
  const n = matrix.length;
  const symmetric = Matrix.zeros(n, n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      const value = (matrix[i]![j]! + matrix[j]![i]!) / 2;
      symmetric.set(i, j, value);
      symmetric.set(j, i, value);
    }
  const result = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true });
  return { values: result.realEigenvalues, vectors: result.eigenvectorMatrix };
}

/** Eigenvalues, ascending, of a symmetric matrix in the complement of the ones, and a zero for these. */
export function centredSpectrum(matrix: SquareMatrix): readonly number[] {
  const n = matrix.length;
  const mean = matrix.map((row) => row.reduce((a, b) => a + b, 0) / n);
  const all = mean.reduce((a, b) => a + b, 0) / n;
  return eigen(matrix.map((row, i) => row.map((x, j) => x - mean[i]! - mean[j]! + all))).values;
}

/**
 * Exactly `groups` groups out of a similarity matrix: k-means on the rows of its leading eigenvectors (scaled by the root of
 * their eigenvalues), from several starts, each improved by moves on `objective`; the densest wins. Always a partition.
 *
 * @param similarity symmetric; the SDP's solution X, or T itself (spectral clustering)
 * @param objective the standardised affinity that the density is taken on
 */
export function roundToGroups(
  similarity: SquareMatrix,
  objective: SquareMatrix,
  groups: number,
  seed: number,
): Partition {
  const n = similarity.length;
  if (groups <= 1 || groups >= n) return roundPoints([], objective, groups, seed);
  const { values, vectors } = eigen(similarity);
  const points = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: groups }, (_, c) => {
      const at = n - 1 - c;
      return vectors.get(i, at) * Math.sqrt(Math.max(values[at]!, 0));
    }),
  );
  return roundPoints(points, objective, groups, seed);
}

/**
 * Exactly `groups` groups (all apart where there are no more clients than that): k-means on a point a client, from several
 * starts, each improved by moves on `objective`; the densest wins.
 */
export function roundPoints(
  points: readonly Float64Array[],
  objective: SquareMatrix,
  groups: number,
  seed: number,
): Partition {
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
    // An empty cluster takes the point that is worst served where it is.
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

/** Spectral clustering of the standardised affinity into exactly `groups` groups: the cheap alternative to the SDP. */
export function spectralGroups(standardised: SquareMatrix, groups: number, seed: number): Partition {
  return roundToGroups(standardised, standardised, groups, seed);
}
