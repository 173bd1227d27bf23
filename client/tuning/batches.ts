/** Rows of a dataset -> the feeds of a graph: padded tokens, position tables, scored positions. */
import { resolve } from "../../shared/graph/dims.js";
import type { HostTensor } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import type { Architecture } from "../models/architecture.js";
import { MASKED } from "../models/attention.js";
import { Places, type Sequence, text } from "../models/places.js";

export type Feeds = Record<string, HostTensor>;

/** A token to score: the logits at `sequence`, `position` predict `target`. */
export interface Ask {
  readonly sequence: number;
  /** Of the token before the target. */
  readonly position: number;
  readonly target: number;
}

/** `tokens` [B, T] and the position tables. @param known so many first tokens of each have been run before */
export function sequenceFeeds(sequences: readonly Sequence[], { positionTables }: Architecture, known = 0): Feeds {
  const places = new Places(sequences, known);
  const sizes = { B: places.batch, T: places.length, K: places.whole };
  const tables = positionTables.map(({ name, shape, values }) => {
    const feed: HostTensor = { shape: shape.map((dim) => resolve(dim, sizes)), data: values(places) };
    return [name, feed] as const;
  });
  return { tokens: { shape: [places.batch, places.length], data: places.tokens }, ...Object.fromEntries(tables) };
}

/** A row up to the token before the last that is scored: what follows is asked for and never looked at. */
export const looked = ({ tokens, scored }: EncodedRow): Sequence => text(tokens.subarray(0, scored.at(-1)));

/** Items of ascending length in batches of at most `most` tokens, padding included; a longer one is alone. */
export function batchesOf<T>(sorted: readonly T[], lengthOf: (item: T) => number, most: number): T[][] {
  const batches: T[][] = [];
  for (const item of sorted) {
    const batch = batches.at(-1);
    if (batch !== undefined && (batch.length + 1) * lengthOf(item) <= most) batch.push(item);
    else batches.push([item]);
  }
  return batches;
}

/** `positions` [S] (rows of the flattened hidden states) and `targets` [S, 1]. */
export function askFeeds(asks: readonly Ask[], length: number): Feeds {
  const positions = new Int32Array(asks.length);
  const targets = new Int32Array(asks.length);
  asks.forEach(({ sequence, position, target }, i) => {
    positions[i] = sequence * length + position;
    targets[i] = target;
  });
  return {
    positions: { shape: [asks.length], data: positions },
    targets: { shape: [asks.length, 1], data: targets },
  };
}

/** What to ask of rows that are sequences of their own. */
export function asksOf(rows: readonly EncodedRow[]): Ask[] {
  return rows.flatMap((row, sequence) =>
    Array.from(row.scored, (at) => ({ sequence, position: at - 1, target: row.tokens[at] as number })),
  );
}

export function scoredTokens(rows: readonly EncodedRow[]): number {
  return rows.reduce((sum, row) => sum + row.scored.length, 0);
}

/** Feeds of a training step: loss = sum of `weights` x negative log-likelihood, the mean over the batch's scored tokens. */
export function trainingFeeds(
  rows: readonly EncodedRow[],
  architecture: Architecture,
  share = 1 / scoredTokens(rows),
): Feeds {
  const sequences = sequenceFeeds(rows.map(looked), architecture);
  const asks = asksOf(rows);
  return {
    ...sequences,
    ...askFeeds(asks, sequences.tokens!.shape[1] as number),
    weights: { shape: [asks.length, 1], data: new Float32Array(asks.length).fill(share) },
  };
}

/** True where the two-term margin applies: the choices differ in their first tokens. */
export function hasDistinctChoices({ choices }: EncodedRow): boolean {
  if (choices === undefined) return false;
  const firsts = choices.tokens.map((tokens) => tokens[0]);
  return firsts.every((first) => first !== undefined) && new Set(firsts).size === firsts.length;
}

/**
 * Feeds of the margins. `average` [B, S] makes an example's first margin the mean over its scored tokens; where the row has
 * choices that differ in their first tokens, its first scored token is judged as a set (are the choices likely at all), and
 * `choiceAverage` [B, S] selects it for the second margin (which of them).
 */
export function marginFeeds(rows: readonly EncodedRow[], architecture: Architecture, twoTerms: boolean): Feeds {
  const sequences = sequenceFeeds(rows.map(looked), architecture);
  const asks = asksOf(rows);
  const count = asks.length;
  const split = rows.map((row) => twoTerms && hasDistinctChoices(row));
  const width = Math.max(1, ...rows.map((row, i) => (split[i] ? row.choices!.tokens.length : 1)));
  const members = new Int32Array(count * width);
  const repeats = new Float32Array(count * width).fill(MASKED);
  const others = new Float32Array(count * width).fill(MASKED);
  const average = new Float32Array(rows.length * count);
  const choiceAverage = new Float32Array(rows.length * count);
  let at = 0;
  rows.forEach((row, i) => {
    for (let s = 0; s < row.scored.length; s++, at++) {
      const target = row.tokens[row.scored[s] as number] as number;
      const set = split[i] && s === 0 ? row.choices!.tokens.map((tokens) => tokens[0] as number) : [target];
      for (let k = 0; k < width; k++) {
        members[at * width + k] = set[k] ?? target;
        if (k >= set.length) continue;
        repeats[at * width + k] = 0;
        if (set[k] !== target) others[at * width + k] = 0;
      }
      average[i * count + at] = 1 / row.scored.length;
      // A row without the second term keeps a harmless one (0 among others): its margin is dropped by the caller.
      if (s === 0 && split[i]) choiceAverage[i * count + at] = 1;
    }
  });
  const feeds: Feeds = {
    ...sequences,
    ...askFeeds(asks, sequences.tokens!.shape[1] as number),
    members: { shape: [count, width], data: members },
    repeats: { shape: [count, width], data: repeats },
    average: { shape: [rows.length, count], data: average },
  };
  if (twoTerms) {
    feeds.others = { shape: [count, width], data: others };
    feeds.choiceAverage = { shape: [rows.length, count], data: choiceAverage };
  }
  return feeds;
}
