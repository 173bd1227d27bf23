/**
 * Draws the splits that a client's data lacks. Rows are known by their index alone. The draw depends on the seed and the client's
 * name, not on the other clients or on their order.
 */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Split } from "./types.js";

/** Share of the training rows that a missing split takes. */
const MISSING_SPLIT_SHARE = 0.1;

export interface GivenSplits<T> {
  readonly train: readonly T[];
  readonly validation?: readonly T[] | undefined;
  readonly test?: readonly T[] | undefined;
}

export interface FullSplits<T> {
  readonly train: readonly T[];
  readonly validation: readonly T[];
  readonly test: readonly T[];
  /** The splits that were drawn here. */
  readonly drawn: readonly Split[];
}

/**
 * Given splits stay as they are. A missing split takes 10 % of the training rows, at least one row. Rows keep their order within a
 * split, and no row is in two splits.
 *
 * @param where names the client's data in messages
 * @throws {KindredError} `invalid_data` where a split is missing and there are fewer than three rows, or no training row would
 *   remain
 */
export function fillSplits<T>(given: GivenSplits<T>, seed: number, name: string, where: string): FullSplits<T> {
  const drawn: Split[] = [];
  if (given.test === undefined) drawn.push("test");
  if (given.validation === undefined) drawn.push("validation");
  const rows = given.train.length;
  if (drawn.length === 0) {
    return { train: given.train, validation: given.validation ?? [], test: given.test ?? [], drawn };
  }
  const total = rows + (given.validation?.length ?? 0) + (given.test?.length ?? 0);
  const size = Math.max(1, Math.round(rows * MISSING_SPLIT_SHARE));
  if (total < 3 || rows <= drawn.length) {
    throw new KindredError(
      "invalid_data",
      `${where}: client ${JSON.stringify(name)} has ${total} row${total === 1 ? "" : "s"} and no ${drawn.join(" and no ")} split; give at least three rows, or every split`,
      { where, client: name, rows: total },
    );
  }
  const order = new SeededRng(seed, "splits", name).permutation(rows);
  const split: Split[] = new Array<Split>(rows).fill("train");
  drawn.forEach((which, index) => {
    for (const row of order.subarray(index * size, (index + 1) * size)) split[row] = which;
  });
  const rowsOf = (which: Split) => given.train.filter((_, row) => split[row] === which);
  return {
    train: rowsOf("train"),
    validation: given.validation ?? rowsOf("validation"),
    test: given.test ?? rowsOf("test"),
    drawn,
  };
}
