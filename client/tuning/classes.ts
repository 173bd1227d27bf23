/**
 * Numbers what choices say, so that rows of different wording can be counted by class: F1 needs to know which rows have the same
 * right answer. It knows nothing of models.
 */
import type { EncodedRow } from "../data/types.js";

/** The class of each choice of each row, numbered as they first appear: choices of the same tokens are of the same class. */
export function choiceClasses(rows: readonly EncodedRow[]): (readonly number[] | undefined)[] {
  const known = new Map<string, number>();
  return rows.map(({ choices }) =>
    choices?.tokens.map((tokens) => {
      const key = tokens.join(",");
      const index = known.get(key) ?? known.size;
      known.set(key, index);
      return index;
    }),
  );
}
