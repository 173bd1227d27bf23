/**
 * What the right answer of a row is compared with, a margin and a backward pass each.
 *
 * - Rivals: the row's other choices. One linearised margin against all of them together cannot see that what raises the right
 *   choice also raises a rival, which other rows push up. The strongest at the start values are kept apart and the rest count as
 *   one.
 * - Foreign sets: what other clients' rows answer. Clients whose inputs look alike but whose answers differ take the odds from
 *   each other, and against the rest of the vocabulary, in which a few words count for nothing at the start, that cannot be seen.
 *
 * On eight real sets of labels and 39 real tunings of one to four of them (a model of 3 million parameters), the estimated
 * f_i(S) - f_i({i}) ranks the real one with -0.22 by one margin a term, -0.29 by rivals alone and 0.80 by both; f_i(S) itself
 * with -0.03, 0.50 and 0.64. One foreign set of all other answers together gains nothing. Sketches cost 1, 1.5 and 4 times as much.
 */
import type { Feed } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import type { AdapterLayout } from "./adapter.js";
import { askFeeds, asksOf, batchesOf, type Comparison, hasDistinctChoices, looked, sequenceFeeds } from "./batches.js";
import { choicesGraph } from "./graphs.js";
import type { Meter, Programs } from "./programs.js";

export interface RivalsPlan {
  /** Rivals of a row at most; 0 for no comparisons. */
  readonly most: number;
  /** Sets of tokens that rows of some clients may begin their answers with; a row's own choices among them do not count. */
  readonly foreign: readonly (readonly number[])[];
  /** Tokens of a batch, padding included. @default 1024 */
  readonly tokensPerBatch?: number | undefined;
}

/**
 * The comparisons of each row; none where it has no choices or two of them begin with the same token. Costs a forward pass of the
 * rows that have more rivals than are kept apart.
 * @param adapter the adapter's values as feeds
 */
export async function comparisonsOf(
  programs: Programs,
  layout: AdapterLayout,
  adapter: Readonly<Record<string, Feed>>,
  rows: readonly EncodedRow[],
  { most, foreign, tokensPerBatch = 1024 }: RivalsPlan,
  meter: Meter,
): Promise<(Comparison | undefined)[]> {
  const { vocabulary } = programs.model.architecture;
  const others = rows.map((row) => {
    if (most === 0 || !hasDistinctChoices(row)) return undefined;
    const { tokens, answer } = row.choices!;
    return tokens.flatMap((_, choice) => (choice === answer ? [] : [choice]));
  });
  const ranked = rows
    .map((row, at) => ({ row: { ...row, scored: row.scored.subarray(0, 1) }, at }))
    .filter(({ at }) => most > 1 && (others[at]?.length ?? 0) > most)
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
  return rows.map(({ choices }, at) => {
    const list = others[at];
    if (list === undefined) return undefined;
    const apart = list.length > most ? most - 1 : list.length;
    const rivals = list.slice(0, apart).map((choice) => [choice]);
    if (apart < list.length) rivals.push(list.slice(apart));
    const tokens = choices!.tokens.map((choice) => choice[0] as number);
    const own = new Set(tokens);
    // What another client reports may be no token of the model at all.
    const told = (token: number): boolean => token < vocabulary && !own.has(token);
    const sets = foreign.map((set) => set.filter(told)).filter(({ length }) => length > 0);
    const places = sets.map((set) => set.map((token) => tokens.push(token) - 1));
    return { tokens, choices: own.size, foreign: places, rivals };
  });
}

/** First tokens of the choices of rows that can be compared, each once, ascending. */
export function choiceTokens(rows: readonly EncodedRow[]): number[] {
  const seen = new Set<number>();
  for (const row of rows.filter(hasDistinctChoices))
    for (const tokens of row.choices!.tokens) seen.add(tokens[0] as number);
  return [...seen].sort((a, b) => a - b);
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
