/**
 * The objective of grouping: within-group density, sum over groups C of 1_C^T T 1_C / |C|, on a standardised affinity matrix;
 * and its local search. It knows nothing of the origin of T.
 */
import { KindredError } from "../../shared/base/errors.js";
import { labelsOf, type Partition, partitionOf } from "./partition.js";

/** A square matrix by rows. */
export type SquareMatrix = readonly Float64Array[];

/**
 * Standardises each row over j != i (rows differ in scale, and a shift of a row would change nothing under X 1 = 1), then
 * takes the mean with the transpose. A row without variation becomes zeros.
 *
 * @throws {KindredError} `shape_mismatch` or `invalid_data` where the matrix is not square or not finite
 */
export function standardiseAffinity(affinity: readonly ArrayLike<number>[]): Float64Array[] {
  const n = affinity.length;
  const rows = affinity.map((row, i) => {
    if (row.length !== n)
      throw new KindredError("shape_mismatch", `affinity row ${i} has ${row.length} entries, expected ${n}`, {
        row: i,
      });
    let sum = 0;
    let largest = 0;
    for (let j = 0; j < n; j++) {
      if (!Number.isFinite(row[j]))
        throw new KindredError("invalid_data", `affinity of client ${i} with ${j} must be finite, got ${row[j]}`, {
          i,
          j,
        });
      if (j === i) continue;
      sum += row[j]!;
      largest = Math.max(largest, Math.abs(row[j]!));
    }
    const mean = n > 1 ? sum / (n - 1) : row[i]!;
    let squares = 0;
    for (let j = 0; j < n; j++) if (j !== i) squares += (row[j]! - mean) ** 2;
    const deviation = n > 1 ? Math.sqrt(squares / (n - 1)) : 0;
    // Rounding errors do not count as variation.
    if (deviation <= 1e-12 * Math.max(largest, 1e-300)) return new Float64Array(n);
    return Float64Array.from({ length: n }, (_, j) => clamped((row[j]! - mean) / deviation));
  });
  return rows.map((row, i) => row.map((value, j) => (value + rows[j]![i]!) / 2));
}

/** Off the diagonal entries are at most sqrt(n); the diagonal one may have any size where the others hardly differ. */
const clamped = (value: number): number => Math.min(MOST_DEVIATIONS, Math.max(-MOST_DEVIATIONS, value));
const MOST_DEVIATIONS = 1e6;

/** sum over groups C of 1_C^T T 1_C / |C|. */
export function density(matrix: SquareMatrix, partition: Partition): number {
  let total = 0;
  for (const group of partition) {
    let sum = 0;
    for (const i of group) for (const j of group) sum += matrix[i]![j]!;
    total += sum / group.length;
  }
  return total;
}

/**
 * Moves single clients between groups while the density rises; the number of groups stays. Each pass is O(n^2).
 * @param matrix symmetric
 */
export function improveDensity(matrix: SquareMatrix, start: Partition, passes = 50): Partition {
  const n = matrix.length;
  const labels = labelsOf(start, n);
  const m = start.length;
  const size = new Float64Array(m);
  const inside = new Float64Array(m);
  // toward[i * m + c]: sum of T_ij over j in group c.
  const toward = new Float64Array(n * m);
  for (let i = 0; i < n; i++) {
    size[labels[i]!]!++;
    for (let j = 0; j < n; j++) toward[i * m + labels[j]!]! += matrix[i]![j]!;
  }
  for (let i = 0; i < n; i++) inside[labels[i]!]! += toward[i * m + labels[i]!]!;
  for (let pass = 0; pass < passes; pass++) {
    let moved = false;
    for (let i = 0; i < n; i++) {
      const a = labels[i]!;
      if (size[a] === 1) continue;
      const own = matrix[i]![i]!;
      const without = inside[a]! - 2 * toward[i * m + a]! + own;
      const loss = inside[a]! / size[a]! - without / (size[a]! - 1);
      let best = 1e-10;
      let to = -1;
      for (let c = 0; c < m; c++) {
        if (c === a) continue;
        const gain = (inside[c]! + 2 * toward[i * m + c]! + own) / (size[c]! + 1) - inside[c]! / size[c]! - loss;
        if (gain > best) {
          best = gain;
          to = c;
        }
      }
      if (to < 0) continue;
      inside[to]! += 2 * toward[i * m + to]! + own;
      inside[a] = without;
      size[a]!--;
      size[to]!++;
      labels[i] = to;
      for (let j = 0; j < n; j++) {
        toward[j * m + a]! -= matrix[j]![i]!;
        toward[j * m + to]! += matrix[j]![i]!;
      }
      moved = true;
    }
    if (!moved) break;
  }
  return partitionOf(labels);
}
