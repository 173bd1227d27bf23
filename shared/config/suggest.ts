/** The known word that is nearest to another, for "did you mean". Does not know what the words stand for. */

/** Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, changes, swapped neighbours. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let best = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, (last[j - 1] as number) + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] as number) + 1);
      }
      row.push(best);
    }
    before = last;
    last = row;
  }
  return last[b.length] as number;
}

/** A word without case and punctuation: `learning_rate` and `learning-rate` are the same as `learningRate`. */
const plain = (word: string) => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/** A longer word is not a slip of a known one, and the time of the distance is quadratic. */
const MAX_LENGTH = 64;

/** The known word that is nearest to `word`; undefined where all are far. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > MAX_LENGTH) return undefined;
  let found: string | undefined;
  let least = Math.max(1, Math.floor(plain(word).length / 3)) + 1;
  for (const candidate of known) {
    const steps = distance(plain(word), plain(candidate));
    if (steps < least) {
      least = steps;
      found = candidate;
    }
  }
  return found;
}
