/** Similarity of two partitions (Hubert and Arabie 1985). */

/**
 * Adjusted Rand index of two labellings: 1 for the same partition, 0 on average by chance, may be negative. Two partitions that
 * are both trivial (all in one, or all apart) and equal give 1.
 *
 * @param a label of each item. @param b label of each item, as many
 */
export function adjustedRandIndex(a: ArrayLike<number | string>, b: ArrayLike<number | string>): number {
  const n = a.length;
  if (b.length !== n) throw new RangeError(`labellings of ${n} and ${b.length} items`);
  const cells = new Map<string, number>();
  const rows = new Map<string, number>();
  const columns = new Map<string, number>();
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);
  for (let i = 0; i < n; i++) {
    const row = String(a[i]);
    const column = String(b[i]);
    count(cells, JSON.stringify([row, column]));
    count(rows, row);
    count(columns, column);
  }
  const pairs = (map: Map<string, number>) => [...map.values()].reduce((sum, x) => sum + (x * (x - 1)) / 2, 0);
  const together = pairs(cells);
  const inA = pairs(rows);
  const inB = pairs(columns);
  const all = (n * (n - 1)) / 2;
  const expected = all === 0 ? 0 : (inA * inB) / all;
  const most = (inA + inB) / 2;
  return most === expected ? 1 : (together - expected) / (most - expected);
}
