/**
 * The comparisons of a row's right answer. Each has a margin and a backward pass.
 *
 * - Negatives: the row's other choices. One linearised margin against all of them together cannot show that a change which raises
 *   the right choice also raises a negative, which other rows raise. The strongest negatives at the start values have a margin each,
 *   and all others have one together.
 * - Sets of other clients' answers: answers of other clients' rows. Clients with similar inputs and different answers reduce each
 *   other's odds. A margin against the rest of the vocabulary, in which a few words have no weight at the start, cannot show that.
 *
 * Answers are compared where they diverge. After the tokens that two answers have in common, which are the same text, their next
 * tokens take probability from each other. So a token of the right answer, the first or a later one, is compared with the tokens
 * that follow the same prefix in the other choices and in other clients' answers. An answer with another prefix has diverged before.
 * A choice that is a prefix of another one ends before they diverge and is compared with nothing: its likelihood does not depend on
 * the other's next tokens. The tokens of a choice after the one at which it diverges count in its format alone.
 *
 * A model of 3 million parameters, rank correlation of estimated with real f_i(S) / of f_i(S) - f_i({i}), margins per row:
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
import {
  batchesOf,
  type Comparison,
  inputSequence,
  scoredTokenFeeds,
  scoredTokensOf,
  sequenceFeeds,
} from "./batches.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { choicesGraph } from "./graphs.js";

export interface NegativesPlan {
  /** Largest number of margins against negatives per row; 0 for no comparisons. */
  readonly negatives: number;
  /** Sets of prefixes of clients' answers. A row's own choices are left out of the sets. @default none */
  readonly otherClientAnswers?: readonly (readonly AnswerPrefix[])[];
  /**
   * Largest number of sets that a row is compared with, drawn for each row by `seed`. The odds against the drawn sets, times the
   * number of sets that each represents, equal in the mean the odds against all sets. @default all
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

/** At a scored token of a row with choices: the next tokens of the choices and of other clients' answers. */
interface Alternatives {
  /** Tokens of the row's choices, the right choice's first. */
  readonly own: readonly number[];
  readonly otherClientAnswers: readonly { readonly set: number; readonly token: number }[];
}

/** Another choice, at the token where it diverges from the right one. */
interface Negative {
  /** Index of the scored token. */
  readonly position: number;
  /** Index in the scored token's `own`. */
  readonly at: number;
}

/**
 * The comparisons of each row; undefined for a row without choices. Takes one forward pass of the rows that have more negatives than
 * margins.
 */
export async function comparisonsOf(
  compiledGraphs: CompiledGraphs,
  adapter: FedAdapter,
  rows: readonly EncodedRow[],
  { negatives: most, otherClientAnswers = [], otherClientAnswersLimit, seed, tokensPerBatch = 1024 }: NegativesPlan,
  meter: Meter,
): Promise<(Comparison | undefined)[]> {
  const { vocabulary } = compiledGraphs.model.architecture;
  const reported = new Map<string, { set: number; token: number }[]>();
  otherClientAnswers.forEach((answerPrefixes, set) => {
    for (const prefix of answerPrefixes) {
      const token = prefix.at(-1)!;
      // Other clients' reports are hostile: the number may be outside the vocabulary.
      if (token >= vocabulary) continue;
      const key = answerPrefixKey(prefix.slice(0, -1));
      const list = reported.get(key) ?? [];
      list.push({ set, token });
      reported.set(key, list);
    }
  });
  const alternatives = rows.map((row) => (most === 0 ? undefined : alternativesOf(row, reported)));
  const negatives = alternatives.map((positions) =>
    (positions ?? []).flatMap(({ own }, position) => own.slice(1).map((_, k): Negative => ({ position, at: k + 1 }))),
  );
  const ranked = rows
    .map((row, at) => ({ row, at, positions: alternatives[at]! }))
    .filter(({ at }) => most > 1 && negatives[at]!.length > most)
    .sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.at - b.at);
  for (const batch of batchesOf(ranked, ({ row }) => row.tokens.length, tokensPerBatch)) {
    const leads = await logitLeads(compiledGraphs, adapter, batch, meter);
    batch.forEach(({ at }, i) => {
      const lead = (negative: Negative): number => leads[i]![negative.position]![negative.at]!;
      negatives[at]!.sort((a, b) => lead(b) - lead(a) || a.position - b.position || a.at - b.at);
    });
  }
  const draw = setSampler(seed);
  return alternatives.map((positions, row) => {
    if (positions === undefined) return undefined;
    const list = negatives[row]!;
    const apart = list.length > most ? most - 1 : list.length;
    const groups = list.slice(0, apart).map((negative) => [negative]);
    if (apart < list.length) groups.push(list.slice(apart));
    const met = [...new Set(positions.flatMap(({ otherClientAnswers }) => otherClientAnswers.map(({ set }) => set)))];
    const count = Math.min(otherClientAnswersLimit ?? met.length, met.length);
    const drawn = count < met.length ? draw(met, count) : met;
    return {
      compared: positions.map(({ own, otherClientAnswers }, position) => {
        const others = otherClientAnswers.filter(({ set }) => drawn.includes(set));
        return {
          tokens: [...own, ...others.map(({ token }) => token)],
          own: own.length,
          otherClientAnswers: drawn.map((one) => others.flatMap(({ set }, k) => (set === one ? [own.length + k] : []))),
          negatives: groups.map((group) =>
            group.flatMap((negative) => (negative.position === position ? [negative.at] : [])),
          ),
        };
      }),
      otherClientAnswers: count,
      setsPerDraw: count === 0 ? 1 : met.length / count,
      negatives: groups.length,
    };
  });
}

/** The choice that margin number `negative` is against; undefined where the margin is against several choices. */
export function negativeChoice(
  { choices, scored }: EncodedRow,
  { compared }: Comparison,
  negative: number,
): number | undefined {
  const { tokens: all, answer, promptLength } = choices!;
  const met = compared.flatMap(({ tokens, negatives }, position) => {
    const length = scored[position]! - promptLength;
    return negatives[negative]!.flatMap((at) =>
      all.flatMap((choice, k) =>
        choice[length] === tokens[at] && samePrefix(choice, all[answer]!, length) ? [k] : [],
      ),
    );
  });
  return met.length === 1 ? met[0] : undefined;
}

/**
 * Draws sets for one row after another: a window that moves along a shuffled list, which is shuffled anew after each pass. So all sets
 * are equally likely for each row, and among rows with the same candidate sets each set is drawn equally often.
 */
function setSampler(seed: number | bigint): (sets: readonly number[], count: number) => number[] {
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

/** One per scored token; undefined for a row without choices. @param reported other clients' next tokens, by prefix */
function alternativesOf(
  { choices, scored, tokens }: EncodedRow,
  reported: ReadonlyMap<string, readonly { readonly set: number; readonly token: number }[]>,
): Alternatives[] | undefined {
  if (choices === undefined) return undefined;
  const answer = choices.tokens[choices.answer]!;
  return Array.from(scored, (at) => {
    const length = at - choices.promptLength;
    const alike = choices.tokens.filter((choice) => samePrefix(choice, answer, length));
    const own = new Set([tokens[at]!, ...alike.flatMap((choice) => [...choice.subarray(length, length + 1)])]);
    const otherClientAnswers = reported.get(answerPrefixKey(answer.subarray(0, length))) ?? [];
    return { own: [...own], otherClientAnswers: otherClientAnswers.filter(({ token }) => !own.has(token)) };
  });
}

function samePrefix(a: Int32Array, b: Int32Array, length: number): boolean {
  for (let k = 0; k < length; k++) if (a[k] !== b[k]) return false;
  return true;
}

/**
 * The shortest prefixes that tell the choices of a row from each other, and the prefixes of these, as far as two rows or more have
 * them: labels, and no text of one row alone. Each once, ascending.
 * @throws {KindredError} `task_failed` where the prefixes have too many tokens
 */
export function answerPrefixesOf(rows: readonly EncodedRow[]): AnswerPrefix[] {
  const seen = new Map<string, { prefix: AnswerPrefix; rows: number }>();
  for (const { choices } of rows) {
    const own = new Map<string, { choice: Int32Array; length: number; before: string; choices: number }>();
    for (const [at, choice] of choices?.tokens.entries() ?? []) {
      if (choices!.scored[at]![0] !== 0) continue; // begins with tokens of the prompt
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
      // A prefix that one choice alone has is long enough.
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
    `the rows' choices have ${answerPrefixes.length} prefixes of ${tokens} tokens; at most ${MAX_CHOICE_TOKENS} tokens are sent; set estimation.margin: two-term`,
  );
}

/** Differences of logits of each own token to the right choice's, per scored token of each row. */
async function logitLeads(
  compiledGraphs: CompiledGraphs,
  { layout, feeds }: FedAdapter,
  rows: readonly { readonly row: EncodedRow; readonly positions: readonly Alternatives[] }[],
  meter: Meter,
): Promise<number[][][]> {
  const { model } = compiledGraphs;
  const program = await compiledGraphs.get("choices", layout, () => choicesGraph(model, layout));
  const encoded = rows.map(({ row }) => row);
  const sequences = sequenceFeeds(encoded.map(inputSequence), model.architecture);
  const all = rows.flatMap((row) => row.positions);
  const width = Math.max(...all.map(({ own }) => own.length));
  const members = new Int32Array(all.length * width);
  all.forEach(({ own }, at) => {
    members.set(own, at * width);
  });
  const { positions } = scoredTokenFeeds(scoredTokensOf(encoded), sequences.tokens!.shape[1] as number);
  const { tensors } = await meter.run(program, {
    ...sequences,
    ...feeds,
    positions: positions!,
    members: { shape: [all.length, width], data: members },
  });
  const logits = tensors.choices!.data as Float32Array;
  let at = 0;
  return rows.map((row) =>
    row.positions.map(({ own }) => {
      const from = at++ * width;
      return own.map((_, k) => logits[from + k]! - logits[from]!);
    }),
  );
}
