/**
 * What the right answer of a row is compared with, a margin and a backward pass each.
 *
 * - Negatives: the row's other choices. One linearised margin against all of them together cannot see that what raises the right
 *   choice also raises a negative, which other rows push up. The strongest at the start values are kept apart and the rest count as
 *   one.
 * - sets of other clients' answers: what other clients' rows answer. Clients whose inputs look alike but whose answers differ take the odds from
 *   each other, and against the rest of the vocabulary, in which a few words count for nothing at the start, that cannot be seen.
 *
 * Answers are compared where they part: behind the tokens that both begin with, which are the same text, the next ones take
 * probability from each other. So a token of the right answer is compared with what the other choices and other clients' answers
 * go on with behind the same tokens, be it the first or a later one. What begins otherwise has parted before. A choice that
 * another one begins with ends before they part, and is compared with nothing: its likelihood does not hang on how the other goes
 * on. What a choice goes on with behind the token that parts it from others counts in its format alone.
 *
 * A model of 3 million parameters, rank correlation of estimated with real f_i(S) / of f_i(S) - f_i({i}), margins a row:
 *
 * | sets of other clients' answers | eight sets of labels of one token, 56 real tunings | twelve, " label" after a token that all share, 50 tunings |
 * | --- | --- | --- |
 * | none | 0.50 / -0.25, 3.4 | |
 * | all, 9 and 14 | 0.68 / 0.80, 10.8 | 0.69 / 0.41, 13.2 |
 * | 3 drawn for each row | 0.66 / 0.75, 6.4 | 0.68 / 0.38, 5.8 |
 * | 2, 1 drawn | 0.66 / 0.72, 5.4; 0.61 / 0.60, 4.4 | |
 * | all, merged into 3 | 0.59 / 0.45, 6.4 | |
 *
 * Merging sets that share clients is worse still (0.09). By first tokens alone the twelve had 0.28 / -0.01.
 */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Feed } from "../../shared/runtimes/types.js";
import { type AnswerPrefix, answerPrefixKey, compareAnswerPrefixes } from "../../shared/sketch/answer-prefixes.js";
import { MAX_CHOICE_TOKENS } from "../../shared/wire/limits.js";
import type { EncodedRow } from "../data/types.js";
import type { AdapterLayout } from "./adapter.js";
import { askFeeds, asksOf, batchesOf, type Comparison, looked, sequenceFeeds } from "./batches.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { choicesGraph } from "./graphs.js";

export interface NegativesPlan {
  /** Negatives of a row at most; 0 for no comparisons. */
  readonly negatives: number;
  /** How rows of some clients begin their answers, in sets; a row's own choices among them do not count. @default none */
  readonly otherClientAnswers?: readonly (readonly AnswerPrefix[])[];
  /**
   * Sets that a row is compared with at most, drawn for each row by `seed`: their odds, times the sets that each stands for, are
   * in the mean those of all. @default all
   */
  readonly otherClientAnswersLimit?: number;
  readonly seed: number | bigint;
  /** Tokens of a batch, padding included. @default 1024 */
  readonly tokensPerBatch?: number | undefined;
}

/** An adapter whose values are feeds of a graph. */
export interface FedAdapter {
  readonly layout: AdapterLayout;
  readonly feeds: Readonly<Record<string, Feed>>;
}

/** A scored token of a row with choices: what they and other clients' answers go on with there. */
interface Parting {
  /** The right one's first. */
  readonly own: readonly number[];
  readonly otherClientAnswers: readonly { readonly set: number; readonly token: number }[];
}

/** Another choice, where it parts from the right one. */
interface Rival {
  readonly place: number;
  /** Among the row's own tokens there. */
  readonly at: number;
}

/**
 * The comparisons of each row; none where it has no choices. Costs a forward pass of the rows that have more negatives than are kept
 * apart.
 * @param adapter the adapter's values as feeds
 */
export async function comparisonsOf(
  compiledGraphs: CompiledGraphs,
  adapter: FedAdapter,
  rows: readonly EncodedRow[],
  { negatives: most, otherClientAnswers = [], otherClientAnswersLimit, seed, tokensPerBatch = 1024 }: NegativesPlan,
  meter: Meter,
): Promise<(Comparison | undefined)[]> {
  const { vocabulary } = compiledGraphs.model.architecture;
  const told = new Map<string, { set: number; token: number }[]>();
  otherClientAnswers.forEach((answerPrefixes, set) => {
    for (const prefix of answerPrefixes) {
      const token = prefix.at(-1)!;
      // What another client reports may be no token of the model at all.
      if (token >= vocabulary) continue;
      const key = answerPrefixKey(prefix.slice(0, -1));
      const list = told.get(key) ?? [];
      list.push({ set, token });
      told.set(key, list);
    }
  });
  const partings = rows.map((row) => (most === 0 ? undefined : partingsOf(row, told)));
  const negatives = partings.map((places) =>
    (places ?? []).flatMap(({ own }, place) => own.slice(1).map((_, k): Rival => ({ place, at: k + 1 }))),
  );
  const ranked = rows
    .map((row, at) => ({ row, at, places: partings[at]! }))
    .filter(({ at }) => most > 1 && negatives[at]!.length > most)
    .sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.at - b.at);
  for (const batch of batchesOf(ranked, ({ row }) => row.tokens.length, tokensPerBatch)) {
    const leads = await ownLeads(compiledGraphs, adapter, batch, meter);
    batch.forEach(({ at }, i) => {
      const lead = (negative: Rival): number => leads[i]![negative.place]![negative.at]!;
      negatives[at]!.sort((a, b) => lead(b) - lead(a) || a.place - b.place || a.at - b.at);
    });
  }
  const draw = drawing(seed);
  return partings.map((places, row) => {
    if (places === undefined) return undefined;
    const list = negatives[row]!;
    const apart = list.length > most ? most - 1 : list.length;
    const groups = list.slice(0, apart).map((negative) => [negative]);
    if (apart < list.length) groups.push(list.slice(apart));
    const met = [...new Set(places.flatMap(({ otherClientAnswers }) => otherClientAnswers.map(({ set }) => set)))];
    const count = Math.min(otherClientAnswersLimit ?? met.length, met.length);
    const drawn = count < met.length ? draw(met, count) : met;
    return {
      places: places.map(({ own, otherClientAnswers }, place) => {
        const others = otherClientAnswers.filter(({ set }) => drawn.includes(set));
        return {
          tokens: [...own, ...others.map(({ token }) => token)],
          own: own.length,
          otherClientAnswers: drawn.map((one) => others.flatMap(({ set }, k) => (set === one ? [own.length + k] : []))),
          negatives: groups.map((group) =>
            group.flatMap((negative) => (negative.place === place ? [negative.at] : [])),
          ),
        };
      }),
      otherClientAnswers: count,
      standsFor: count === 0 ? 1 : met.length / count,
      negatives: groups.length,
    };
  });
}

/** The choice that the right one's margin of this number is against; undefined where that is several together. */
export function negativeChoice(
  { choices, scored }: EncodedRow,
  { places }: Comparison,
  negative: number,
): number | undefined {
  const { tokens: all, answer, promptLength } = choices!;
  const met = places.flatMap(({ tokens, negatives }, place) => {
    const length = scored[place]! - promptLength;
    return negatives[negative]!.flatMap((at) =>
      all.flatMap((choice, k) =>
        choice[length] === tokens[at] && beginsAlike(choice, all[answer]!, length) ? [k] : [],
      ),
    );
  });
  return met.length === 1 ? met[0] : undefined;
}

/**
 * Draws sets for one row after the other: a window that slides along a shuffled list, which is shuffled anew when it has been
 * round. So a set is as likely as any other for each row, and of the rows that meet the same sets all stand in as many.
 */
function drawing(seed: number | bigint): (sets: readonly number[], count: number) => number[] {
  const states = new Map<string, { row: number; order: ArrayLike<number> }>();
  return (sets, count) => {
    const key = sets.join();
    const state = states.get(key) ?? { row: 0, order: [] };
    states.set(key, state);
    const row = state.row++;
    if (row % sets.length === 0)
      state.order = new SeededRng(seed, "foreign", key, row / sets.length).permutation(sets.length);
    return Array.from({ length: count }, (_, k) => sets[state.order[(row + k) % sets.length]!]!);
  };
}

/** One a scored token; undefined where the row has no choices. @param told what answers go on with behind each beginning */
function partingsOf(
  { choices, scored, tokens }: EncodedRow,
  told: ReadonlyMap<string, readonly { readonly set: number; readonly token: number }[]>,
): Parting[] | undefined {
  if (choices === undefined) return undefined;
  const answer = choices.tokens[choices.answer]!;
  return Array.from(scored, (at) => {
    const length = at - choices.promptLength;
    const alike = choices.tokens.filter((choice) => beginsAlike(choice, answer, length));
    const own = new Set([tokens[at]!, ...alike.flatMap((choice) => [...choice.subarray(length, length + 1)])]);
    const otherClientAnswers = told.get(answerPrefixKey(answer.subarray(0, length))) ?? [];
    return { own: [...own], otherClientAnswers: otherClientAnswers.filter(({ token }) => !own.has(token)) };
  });
}

function beginsAlike(a: Int32Array, b: Int32Array, length: number): boolean {
  for (let k = 0; k < length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/**
 * How the choices of rows begin, as far as it takes to tell each from its row's others; of these and what they begin with, what two
 * rows or more have: labels, and not what one row alone says. Each once, ascending.
 * @throws {KindredError} `task_failed` where they are too many
 */
export function answerPrefixesOf(rows: readonly EncodedRow[]): AnswerPrefix[] {
  const seen = new Map<string, { prefix: AnswerPrefix; rows: number }>();
  for (const { choices } of rows) {
    const own = new Map<string, { choice: Int32Array; length: number; before: string; choices: number }>();
    for (const choice of choices?.tokens ?? []) {
      let before = "";
      for (let length = 1; length <= choice.length; length++) {
        const key = length === 1 ? `${choice[0]}` : `${before},${choice[length - 1]}`;
        const one = own.get(key);
        if (one === undefined) own.set(key, { choice, length, before, choices: 1 });
        else one.choices++;
        before = key;
      }
    }
    for (const [key, { choice, length, before }] of own) {
      // Behind what one choice alone begins with nothing is left to tell apart.
      if (own.get(before)?.choices === 1) continue;
      const one = seen.get(key);
      if (one === undefined) seen.set(key, { prefix: Array.from(choice.subarray(0, length)), rows: 1 });
      else one.rows++;
    }
  }
  const answerPrefixes = [...seen.values()].filter(({ rows }) => rows > 1).map(({ prefix }) => prefix);
  const tokens = answerPrefixes.reduce((sum, { length }) => sum + length, 0);
  if (tokens <= MAX_CHOICE_TOKENS) return answerPrefixes.sort(compareAnswerPrefixes);
  throw new KindredError(
    "task_failed",
    `the rows' choices begin in ${answerPrefixes.length} ways of ${tokens} tokens, more than ${MAX_CHOICE_TOKENS}; set estimation.margin: two-term`,
  );
}

/** What each of the row's own tokens leads the right one by, at each scored token. */
async function ownLeads(
  compiledGraphs: CompiledGraphs,
  { layout, feeds }: FedAdapter,
  rows: readonly { readonly row: EncodedRow; readonly places: readonly Parting[] }[],
  meter: Meter,
): Promise<number[][][]> {
  const { model } = compiledGraphs;
  const program = await compiledGraphs.get("choices", layout, () => choicesGraph(model, layout));
  const encoded = rows.map(({ row }) => row);
  const sequences = sequenceFeeds(encoded.map(looked), model.architecture);
  const places = rows.flatMap((row) => row.places);
  const width = Math.max(...places.map(({ own }) => own.length));
  const members = new Int32Array(places.length * width);
  places.forEach(({ own }, at) => {
    members.set(own, at * width);
  });
  const { positions } = askFeeds(asksOf(encoded), sequences.tokens!.shape[1] as number);
  const { tensors } = await meter.run(program, {
    ...sequences,
    ...feeds,
    positions: positions!,
    members: { shape: [places.length, width], data: members },
  });
  const logits = tensors.choices!.data as Float32Array;
  let at = 0;
  return rows.map((row) =>
    row.places.map(({ own }) => {
      const from = at++ * width;
      return own.map((_, k) => logits[from + k]! - logits[from]!);
    }),
  );
}
