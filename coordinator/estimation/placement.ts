/**
 * The places of the clients' rows in one padded tensor [clients, rows]: first the terms of a single row, then the terms of several
 * negatives, adjacent and padded to the largest. It knows nothing of the computations on them.
 */
import type { LogisticRows } from "../../shared/sketch/types.js";
import type { Sizes } from "./batch.js";
import { termStarts } from "./problem.js";

export interface Placement {
  readonly sizes: Sizes;
  /** Per client: [rows] places of its rows. */
  readonly row: readonly Int32Array[];
  /** Per client: [terms] places of its terms, numbered through terms of one row and terms of several, and their examples. */
  readonly term: readonly { readonly place: Int32Array; readonly example: Int32Array }[];
}

export function placeRows(parts: readonly LogisticRows[], dim: number): Placement {
  const starts = parts.map(termStarts);
  // At least one, of weight zero where no client has any: no tensor is empty.
  let single = 1;
  let several = 0;
  let negatives = 0;
  for (const of of starts) {
    let alone = 0;
    for (let t = 0; t + 1 < of.length; t++) {
      const length = of[t + 1]! - of[t]!;
      if (length === 1) alone++;
      else negatives = Math.max(negatives, length);
    }
    single = Math.max(single, alone);
    several = Math.max(several, of.length - 1 - alone);
  }
  const row: Int32Array[] = [];
  const term: { place: Int32Array; example: Int32Array }[] = [];
  parts.forEach(({ example }, i) => {
    const of = starts[i]!;
    const rows = new Int32Array(example.length);
    const place = new Int32Array(of.length - 1);
    let alone = 0;
    let together = 0;
    for (let t = 0; t + 1 < of.length; t++) {
      const from = of[t]!;
      if (of[t + 1]! === from + 1) {
        rows[from] = alone;
        place[t] = alone++;
        continue;
      }
      for (let r = from; r < of[t + 1]!; r++) rows[r] = single + together * negatives + (r - from);
      place[t] = single + together++;
    }
    row.push(rows);
    term.push({ place, example: Int32Array.from(place, (_, t) => example[of[t]!]!) });
  });
  return {
    sizes: { clients: parts.length, rows: single + several * negatives, single, several, negatives, dim },
    row,
    term,
  };
}
