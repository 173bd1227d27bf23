/** Statistics of paired numbers, for studies that compare an estimate with the truth. */

export const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((a, b) => a + b, 0) / values.length;

/** Standard error of the mean, from the deviation of the values; NaN for fewer than two. */
export function standardError(values: readonly number[]): number {
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

export interface Ratio {
  readonly value: number;
  /** By the delta method, from examples that are independent of each other. */
  readonly standardError: number;
}

/** The ratio of two means over the same examples. */
export function ratioOfMeans(above: readonly number[], below: readonly number[]): Ratio {
  const value = mean(above) / mean(below);
  const residuals = above.map((number, i) => number - value * below[i]!);
  return { value, standardError: standardError(residuals) / Math.abs(mean(below)) };
}

/** Pearson's correlation; NaN where one side does not vary. */
export function correlation(a: readonly number[], b: readonly number[]): number {
  const [ma, mb] = [mean(a), mean(b)];
  let ab = 0;
  let aa = 0;
  let bb = 0;
  a.forEach((value, i) => {
    const [x, y] = [value - ma, b[i]! - mb];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  });
  return ab / Math.sqrt(aa * bb);
}

/** Ranks from 0; ties get the mean of their ranks. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
  const result = new Array<number>(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let at = from; at < to; at++) result[order[at]!] = (from + to - 1) / 2;
    from = to;
  }
  return result;
}

/** Spearman's rank correlation; ties get the mean of their ranks. */
export const spearman = (a: readonly number[], b: readonly number[]): number => correlation(ranks(a), ranks(b));

/** Share of the truth's variance that an estimate explains, 1 - residual / total; below 0 where the mean is the better estimate. */
export function explained(truth: readonly number[], estimate: readonly number[]): number {
  const middle = mean(truth);
  const residual = truth.reduce((sum, value, i) => sum + (value - estimate[i]!) ** 2, 0);
  const total = truth.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return 1 - residual / total;
}
