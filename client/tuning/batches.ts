/** Rows of a dataset -> feeds of a graph: padded tokens, position tables, scored positions. */
import { resolve } from "../../shared/graph/dims.js";
import type { HostTensor } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import { type Architecture, tableInput } from "../models/architecture.js";
import { MASKED } from "../models/attention.js";
import { type Segment, type Sequence, singleText, TokenPositions } from "../models/positions.js";

export type Feeds = Record<string, HostTensor>;

/** A token to score: the logits at `sequence`, `position` predict `target`. */
export interface ScoredToken {
  readonly sequence: number;
  /** Position of the token before the target. */
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

/** Tokens of a row that are run: all before its last scored token. */
const inputTokens = ({ tokens, scored }: EncodedRow): Int32Array => tokens.subarray(0, scored.at(-1));

/** A row up to the token before its last scored token: the later tokens are targets alone. */
export const inputSequence = (row: EncodedRow): Sequence => singleText(inputTokens(row));

/** Items of ascending length in batches of at most `most` tokens, padding included. A longer item has a batch of its own. */
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
export function scoredTokenFeeds(asks: readonly ScoredToken[], length: number): Feeds {
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

/** Location of a row's first token. */
export interface Start {
  readonly sequence: number;
  readonly position: number;
}

/**
 * Packs texts into sequences that are at most as long as the longest text: first-fit decreasing, which needs at most 11/9 of the
 * smallest possible number of sequences (Johnson 1973). This saves padding and changes no result, because texts of one sequence do
 * not attend to each other.
 * @param lengths tokens of each text. @returns each text's location
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

/** Scored tokens of rows. @param starts the rows' locations. @default one sequence per row */
export function scoredTokensOf(rows: readonly EncodedRow[], starts?: readonly Start[]): ScoredToken[] {
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

/** Locations of the rows of a training step. */
export const packRows = (rows: readonly EncodedRow[]): Start[] => pack(rows.map((row) => inputTokens(row).length));

/** Feeds of a training step: loss = sum of `weights` x negative log-likelihood. @param share weight of a token. @default the mean */
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
  const located = rows.map((row, i) => ({ tokens: inputTokens(row), ...(starts[i] as Start) }));
  for (const { tokens, sequence } of located.sort((a, b) => a.position - b.position)) {
    sequences[sequence]!.push({ tokens, after: -1 });
  }
  const feeds = sequenceFeeds(sequences, architecture);
  const asks = scoredTokensOf(rows, starts);
  return {
    ...feeds,
    ...scoredTokenFeeds(asks, feeds.tokens!.shape[1] as number),
    weights: { shape: [asks.length, 1], data: new Float32Array(asks.length).fill(share) },
  };
}

/** The tokens that one scored token of an answer is compared with. Sets hold indices into `tokens`. */
export interface ComparedToken {
  /** The next tokens of the row's choices, the right choice's first, then the next tokens of other clients' answers. */
  readonly tokens: readonly number[];
  /** The number of them that are the row's choices'. */
  readonly own: number;
  /** The tokens of each set of other clients' answers. */
  readonly otherClientAnswers: readonly (readonly number[])[];
  /** The tokens of each set of negatives. */
  readonly negatives: readonly (readonly number[])[];
}

/** The comparisons of a row with choices: its answer against negatives, its choices against other clients' answers. */
export interface Comparison {
  /** One per scored token. */
  readonly compared: readonly ComparedToken[];
  /** Number of sets of other clients' answers. The choices together have a margin against each, and one against the vocabulary. */
  readonly otherClientAnswers: number;
  /** Number of sets that each of the drawn sets represents. */
  readonly setsPerDraw: number;
  /** Number of sets of negatives. The right choice has a margin against each. */
  readonly negatives: number;
}

/**
 * Feeds of the margins. Without comparisons, `average` [B, S] makes an example's margin the mean over its scored tokens. With
 * comparisons, the row's own choices are one set at each scored token.
 * @param comparisons one per row, or an empty list; all with the same numbers of sets
 */
export function marginFeeds(
  rows: readonly EncodedRow[],
  architecture: Architecture,
  comparisons: readonly Comparison[] = [],
): Feeds {
  const sequences = sequenceFeeds(rows.map(inputSequence), architecture);
  const asks = scoredTokensOf(rows);
  const count = asks.length;
  const compared = comparisons.flatMap((comparison) => comparison.compared);
  const width = Math.max(1, ...compared.map(({ tokens }) => tokens.length));
  const masked = (): Float32Array => new Float32Array(count * width).fill(MASKED);
  const members = new Int32Array(count * width);
  const repeats = masked();
  const sets = {
    otherClientAnswers: Array.from({ length: comparisons[0]?.otherClientAnswers ?? 0 }, masked),
    negatives: Array.from({ length: comparisons[0]?.negatives ?? 0 }, masked),
  };
  asks.forEach(({ target }, at) => {
    const token = compared[at];
    for (let k = 0; k < width; k++) members[at * width + k] = token?.tokens[k] ?? target;
    repeats.fill(0, at * width, at * width + (token?.own ?? 1));
    for (const kind of ["otherClientAnswers", "negatives"] as const)
      token?.[kind].forEach((set, r) => {
        for (const k of set) sets[kind][r]![at * width + k] = 0;
      });
  });
  const feeds: Feeds = {
    ...sequences,
    ...scoredTokenFeeds(asks, sequences.tokens!.shape[1] as number),
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

/** `answers` [B, S] marks each example's scored tokens; `before` [S, S] marks the earlier tokens of the same answer. */
function answerFeeds(rows: readonly EncodedRow[]): Feeds {
  const count = scoredTokens(rows);
  const compared = new Float32Array(rows.length * count).fill(MASKED);
  const before = new Float32Array(count * count);
  let at = 0;
  rows.forEach(({ scored }, i) => {
    compared.fill(0, i * count + at, i * count + at + scored.length);
    for (let s = at; s < at + scored.length; s++) before.fill(1, s * count + at, s * count + s);
    at += scored.length;
  });
  return {
    answers: { shape: [rows.length, count], data: compared },
    before: { shape: [count, count], data: before },
  };
}
