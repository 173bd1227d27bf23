/**
 * Macro-F1: the mean of F1 = 2 tp / (2 tp + fp + fn) over all classes that are the right answer or the guess of some row, as in
 * scikit-learn's `f1_score(average="macro")`.
 */

/** Right answers and guesses of rows. Classes are renumbered from 0, so that repeated counting is cheap. */
export class Guesses {
  private readonly labels: Int32Array;
  private readonly guesses: Int32Array;
  private readonly classes: number;

  /** @param guesses one per label; a negative number is a wrong guess of no known class */
  constructor(labels: ArrayLike<number>, guesses: ArrayLike<number>) {
    const indices = new Map<number, number>();
    const indexOf = (label: number): number => {
      if (label < 0) return -1;
      const index = indices.get(label) ?? indices.size;
      indices.set(label, index);
      return index;
    };
    this.labels = Int32Array.from(labels, indexOf);
    this.guesses = Int32Array.from(guesses, indexOf);
    this.classes = indices.size;
  }

  /** @param rows indices of rows, repeated for rows that count several times. @default all once. @returns 0 .. 1 */
  macroF1(rows: ArrayLike<number> = this.labels.map((_, r) => r)): number {
    const right = new Int32Array(this.classes);
    // 2 tp + fp + fn
    const counted = new Int32Array(this.classes);
    for (let r = 0; r < rows.length; r++) {
      const label = this.labels[rows[r]!]!;
      const guess = this.guesses[rows[r]!]!;
      if (guess === label) right[label]!++;
      counted[label]!++;
      if (guess >= 0) counted[guess]!++;
    }
    let sum = 0;
    let present = 0;
    for (let c = 0; c < this.classes; c++) {
      if (counted[c] === 0) continue;
      present++;
      sum += (2 * right[c]!) / counted[c]!;
    }
    return sum / present;
  }
}
