/** Rows of a dataset -> the feeds of a graph: padded tokens, position tables, scored positions. */
import { resolve } from "../../shared/graph/dims.js";
import type { HostTensor } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import { type Architecture, tableInput } from "../models/architecture.js";
import { MASKED } from "../models/attention.js";
import { type Segment, type Sequence, singleText, TokenPositions } from "../models/positions.js";

export type Feeds = Record<string, HostTensor>;

/** A token to score: the logits at `sequence`, `position` predict `target`. */
export interface Ask {
  readonly sequence: number;
  /** Of the token before the target. */
  readonly position: number;
  readonly target: number;
}

/** `tokens` [B, T] and the position tables. @param cached first tokens of each that have been run before */
export function sequenceFeeds(sequences: readonly Sequence[], { positionTables }: Architecture, cached = 0): Feeds {
  const positions = new TokenPositions(sequences, cached);
  const sizes = { B: positions.batch, T: positions.length, K: positions.totalLength };
  const tables = positionTables.map(({ name, shape, values }) => {
    const feed: HostTensor = { shape: shape.map((dim) => resolve(dim, sizes)), data: values(positions) };
    return [tableInput(name), feed] as const;
  });
  return {
    tokens: { shape: [positions.batch, positions.length], data: positions.tokens },
    ...Object.fromEntries(tables),
  };
}

/** Tokens of a row that are run. */
const run = ({ tokens, scored }: EncodedRow): Int32Array => tokens.subarray(0, scored.at(-1));

/** A row up to the token before the last that is scored: what follows is asked for and never looked at. */
export const looked = (row: EncodedRow): Sequence => singleText(run(row));

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

/** Where a row's first token stands. */
export interface Start {
  readonly sequence: number;
  readonly position: number;
}

/**
 * Puts texts into sequences, several into one, none longer than the longest text: first-fit decreasing, which takes at most
 * 11/9 of the fewest sequences possible (Johnson 1973). As texts of one sequence do not see each other, this saves padding
 * and changes nothing else.
 * @param lengths tokens of each text. @returns where each begins
 */
export function pack(lengths: readonly number[]): Start[] {
  const most = Math.max(0, ...lengths);
  const order = lengths.map((_, i) => i).sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const used: number[] = [];
  const starts: Start[] = [];
  for (const i of order) {
    const length = lengths[i] as number;
    const fit = used.findIndex((tokens) => tokens + length <= most);
    const sequence = fit < 0 ? used.length : fit;
    starts[i] = { sequence, position: used[sequence] ?? 0 };
    used[sequence] = (used[sequence] ?? 0) + length;
  }
  return starts;
}

/** What to ask of rows. @param starts each a sequence of its own unless given */
export function asksOf(rows: readonly EncodedRow[], starts?: readonly Start[]): Ask[] {
  return rows.flatMap((row, i) => {
    const { sequence, position } = starts?.[i] ?? { sequence: i, position: 0 };
    return Array.from(row.scored, (at) => ({
      sequence,
      position: position + at - 1,
      target: row.tokens[at] as number,
    }));
  });
}

export function scoredTokens(rows: readonly EncodedRow[]): number {
  return rows.reduce((sum, row) => sum + row.scored.length, 0);
}

/** Where the rows of a training step stand. */
export const packRows = (rows: readonly EncodedRow[]): Start[] => pack(rows.map((row) => run(row).length));

/** Feeds of a training step: loss = sum of `weights` x negative log-likelihood, the mean over the batch's scored tokens. */
export function trainingFeeds(
  rows: readonly EncodedRow[],
  architecture: Architecture,
  share = 1 / scoredTokens(rows),
  starts = packRows(rows),
): Feeds {
  const sequences = Array.from(
    { length: 1 + Math.max(...starts.map(({ sequence }) => sequence)) },
    (): Segment[] => [],
  );
  const standing = rows.map((row, i) => ({ tokens: run(row), ...(starts[i] as Start) }));
  for (const { tokens, sequence } of standing.sort((a, b) => a.position - b.position)) {
    sequences[sequence]!.push({ tokens, after: -1 });
  }
  const feeds = sequenceFeeds(sequences, architecture);
  const asks = asksOf(rows, starts);
  return {
    ...feeds,
    ...askFeeds(asks, feeds.tokens!.shape[1] as number),
    weights: { shape: [asks.length, 1], data: new Float32Array(asks.length).fill(share) },
  };
}

/** What one scored token of a row is compared with. Sets hold positions in `tokens`. */
export interface Place {
  /** What the row's choices go on with here, the right one's token first; then what the sets' answers go on with. */
  readonly tokens: readonly number[];
  /** How many of them are the row's choices. */
  readonly own: number;
  /** Of each set of the comparison, its tokens here. */
  readonly otherClientAnswers: readonly (readonly number[])[];
  readonly negatives: readonly (readonly number[])[];
}

/** What the answer of a row with choices is compared with. */
export interface Comparison {
  /** One a scored token. */
  readonly places: readonly Place[];
  /** Sets of other clients' answers: the choices together have a margin against each, and one against the rest of the vocabulary. */
  readonly otherClientAnswers: number;
  /** How many sets each of them stands for. */
  readonly standsFor: number;
  /** Sets of choices: the right one has a margin against each. */
  readonly negatives: number;
}

/**
 * Feeds of the margins. Without comparisons `average` [B, S] makes an example's margin the mean over its scored tokens; with them
 * the row's own choices at each of them are judged as a set.
 * @param comparisons of each row or of none, with as many sets of other clients' answers and negatives in each
 */
export function marginFeeds(
  rows: readonly EncodedRow[],
  architecture: Architecture,
  comparisons: readonly Comparison[] = [],
): Feeds {
  const sequences = sequenceFeeds(rows.map(looked), architecture);
  const asks = asksOf(rows);
  const count = asks.length;
  const places = comparisons.flatMap((comparison) => comparison.places);
  const width = Math.max(1, ...places.map(({ tokens }) => tokens.length));
  const masked = (): Float32Array => new Float32Array(count * width).fill(MASKED);
  const members = new Int32Array(count * width);
  const repeats = masked();
  const sets = {
    otherClientAnswers: Array.from({ length: comparisons[0]?.otherClientAnswers ?? 0 }, masked),
    negatives: Array.from({ length: comparisons[0]?.negatives ?? 0 }, masked),
  };
  asks.forEach(({ target }, at) => {
    const place = places[at];
    for (let k = 0; k < width; k++) members[at * width + k] = place?.tokens[k] ?? target;
    repeats.fill(0, at * width, at * width + (place?.own ?? 1));
    for (const kind of ["otherClientAnswers", "negatives"] as const)
      place?.[kind].forEach((set, r) => {
        for (const k of set) sets[kind][r]![at * width + k] = 0;
      });
  });
  const feeds: Feeds = {
    ...sequences,
    ...askFeeds(asks, sequences.tokens!.shape[1] as number),
    members: { shape: [count, width], data: members },
    repeats: { shape: [count, width], data: repeats },
    ...(comparisons.length > 0 ? answerFeeds(rows) : averageFeed(rows)),
  };
  sets.otherClientAnswers.forEach((data, r) => {
    feeds[`format.${r}`] = { shape: [count, width], data };
  });
  sets.negatives.forEach((data, r) => {
    feeds[`choice.${r}`] = { shape: [count, width], data };
  });
  return feeds;
}

function averageFeed(rows: readonly EncodedRow[]): Feeds {
  const count = scoredTokens(rows);
  const average = new Float32Array(rows.length * count);
  let at = 0;
  rows.forEach(({ scored }, i) => {
    average.fill(1 / scored.length, i * count + at, i * count + at + scored.length);
    at += scored.length;
  });
  return { average: { shape: [rows.length, count], data: average } };
}

/** Which scored tokens are an example's: `answers` [B, S], and which come before which in the same one: `before` [S, S]. */
function answerFeeds(rows: readonly EncodedRow[]): Feeds {
  const count = scoredTokens(rows);
  const places = new Float32Array(rows.length * count).fill(MASKED);
  const before = new Float32Array(count * count);
  let at = 0;
  rows.forEach(({ scored }, i) => {
    places.fill(0, i * count + at, i * count + at + scored.length);
    for (let s = at; s < at + scored.length; s++) before.fill(1, s * count + at, s * count + s);
    at += scored.length;
  });
  return {
    answers: { shape: [rows.length, count], data: places },
    before: { shape: [count, count], data: before },
  };
}
