/**
 * Numbers the choices of rows by their tokens, so that rows are counted by class: F1 needs to know which rows have the same right
 * answer. Knows no model.
 */
import type { EncodedRow } from "../data/types.js";

/** The class of each choice of each row, numbered in order of appearance. Choices of the same scored tokens are one class. */
export function choiceClasses(rows: readonly EncodedRow[]): (readonly number[] | undefined)[] {
  const known = new Map<string, number>();
  return rows.map(({ choices }) =>
    choices?.tokens.map((tokens, choice) => {
      const key = choices.scored[choice]!.map((at) => tokens[at]!).join(",");
      const index = known.get(key) ?? known.size;
      known.set(key, index);
      return index;
    }),
  );
}
