/**
 * Macro-F1: the mean of the classes' F1 = 2 tp / (2 tp + fp + fn) over all classes that are the right answer or the guess of
 * some row, as scikit-learn's `f1_score(average="macro")` has it. It knows nothing of where guesses come from.
 */

/** Right answers and guesses of rows, the classes renumbered from 0 so that counting them again and again is cheap. */
export class Guesses {
  private readonly labels: Int32Array;
  private readonly guesses: Int32Array;
  private readonly classes: number;

  /** @param guesses as many as labels; below 0: a guess of which no more is known than that it is wrong, and which no class bears */
  constructor(labels: ArrayLike<number>, guesses: ArrayLike<number>) {
    const places = new Map<number, number>();
    const placeOf = (label: number): number => {
      if (label < 0) return -1;
      const place = places.get(label) ?? places.size;
      places.set(label, place);
      return place;
    };
    this.labels = Int32Array.from(labels, placeOf);
    this.guesses = Int32Array.from(guesses, placeOf);
    this.classes = places.size;
  }

  /** @param rows indices of rows, each as often as it counts. @default all once. @returns 0 .. 1 */
  macroF1(rows: ArrayLike<number> = this.labels.map((_, r) => r)): number {
    const right = new Int32Array(this.classes);
    // 2 tp + fp + fn
    const told = new Int32Array(this.classes);
    for (let r = 0; r < rows.length; r++) {
      const label = this.labels[rows[r]!]!;
      const guess = this.guesses[rows[r]!]!;
      if (guess === label) right[label]!++;
      told[label]!++;
      if (guess >= 0) told[guess]!++;
    }
    let sum = 0;
    let there = 0;
    for (let c = 0; c < this.classes; c++) {
      if (told[c] === 0) continue;
      there++;
      sum += (2 * right[c]!) / told[c]!;
    }
    return sum / there;
  }
}
