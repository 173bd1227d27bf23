/**
 * Whom the right choice of a row is compared with. One linearised margin against all other choices together cannot see that
 * what raises the right choice also raises a rival, which other rows push up; a margin for each rival can, at one backward pass
 * each. Where there are many choices, the strongest at the start values are kept apart and the rest count as one.
 */
import type { Feed } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import type { AdapterLayout } from "./adapter.js";
import { askFeeds, asksOf, batchesOf, hasDistinctChoices, looked, type Rivals, sequenceFeeds } from "./batches.js";
import { choicesGraph } from "./graphs.js";
import type { Meter, Programs } from "./programs.js";

export interface RivalsPlan {
  /** Rivals of a row at most; 0 for none. */
  readonly most: number;
  /** Tokens of a batch, padding included. @default 1024 */
  readonly tokensPerBatch?: number | undefined;
}

/**
 * The rivals of each row; none where it has no choices or two of them begin with the same token. Costs a forward pass of the
 * rows that have more of them than are kept apart.
 * @param adapter the adapter's values as feeds
 */
export async function rivalsOf(
  programs: Programs,
  layout: AdapterLayout,
  adapter: Readonly<Record<string, Feed>>,
  rows: readonly EncodedRow[],
  { most, tokensPerBatch = 1024 }: RivalsPlan,
  meter: Meter,
): Promise<Rivals[]> {
  const others = rows.map((row) => {
    if (most === 0 || !hasDistinctChoices(row)) return [];
    const { tokens, answer } = row.choices!;
    return tokens.flatMap((_, choice) => (choice === answer ? [] : [choice]));
  });
  const ranked = rows
    .map((row, at) => ({ row: { ...row, scored: row.scored.subarray(0, 1) }, at }))
    .filter(({ at }) => most > 1 && others[at]!.length > most)
    .sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.at - b.at);
  for (const batch of batchesOf(ranked, ({ row }) => row.tokens.length, tokensPerBatch)) {
    const logits = await choiceLogits(
      programs,
      layout,
      adapter,
      batch.map(({ row }) => row),
      meter,
    );
    batch.forEach(({ at }, i) => {
      others[at]!.sort((a, b) => logits[i]![b]! - logits[i]![a]! || a - b);
    });
  }
  return others.map((list) => {
    const apart = list.length > most ? most - 1 : list.length;
    const alone = list.slice(0, apart).map((choice) => [choice]);
    return apart < list.length ? [...alone, list.slice(apart)] : alone;
  });
}

/** Logits of each row's choices (their first tokens) behind its prompt. @param rows of one scored token each */
async function choiceLogits(
  programs: Programs,
  layout: AdapterLayout,
  adapter: Readonly<Record<string, Feed>>,
  rows: readonly EncodedRow[],
  meter: Meter,
): Promise<Float32Array[]> {
  const { model } = programs;
  const program = await programs.get("choices", layout, () => choicesGraph(model, layout));
  const sequences = sequenceFeeds(rows.map(looked), model.architecture);
  const width = Math.max(...rows.map((row) => row.choices!.tokens.length));
  const members = new Int32Array(rows.length * width);
  rows.forEach((row, i) => {
    row.choices!.tokens.forEach((tokens, k) => {
      members[i * width + k] = tokens[0] as number;
    });
  });
  const { positions } = askFeeds(asksOf(rows), sequences.tokens!.shape[1] as number);
  const { tensors } = await meter.run(program, {
    ...sequences,
    ...adapter,
    positions: positions!,
    members: { shape: [rows.length, width], data: members },
  });
  const logits = tensors.choices!.data as Float32Array;
  return rows.map((_, i) => logits.subarray(i * width, (i + 1) * width));
}
