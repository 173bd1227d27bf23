/**
 * The values that a client reveals for estimation: rows of a logistic regression whose labels are all +1.
 *
 * A row is a margin h and the sketch g of its gradient; the loss of an example under adapter weights w is the sum over its
 * terms of `log(1 + sum over the term's rows of exp(-(h + g.w)))`. An example has one row (the mean margin of its answer's
 * tokens over the full vocabulary), or two terms where it has choices: `format` (whether any choice is likely: a row against the
 * rest of the vocabulary, and rows against other clients' answers) and `choice` (which choice: one row against all other choices, or
 * one row per negative). Where an answer diverges at one token from all that it is compared with, the terms are its likelihood.
 */

/**
 * Forms of a margin. answer: against the whole vocabulary; two-term: format and choice separately; negatives: choice against each
 * strong negative, format against other clients' answers.
 */
export const MARGINS = ["answer", "two-term", "negatives"] as const;
export type MarginForm = (typeof MARGINS)[number];

/** The term of a row. */
export const ROW_TERMS = { answer: 0, format: 1, choice: 2 } as const;

/** Largest number of rows per term of an example: more than is useful, and a bound on padding to the longest term. */
export const MOST_NEGATIVES = 16;

/** Largest width of a sketch, all projections together. It bounds the size of a row. */
export const MOST_NUMBERS = 65_536;

/** Largest number of projections. Each costs as much as the first; the noise falls with the square root of their number. */
export const MOST_PROJECTIONS = 16;

/** Largest number of classes of answers: integers that float32, in which indices are sent, represents exactly. */
export const MOST_CLASSES = 2 ** 24;

/** Labels of rows: indices into a list that only the client has. Sent only where asked for. */
export interface RowLabels {
  /** [examples] class of the right answer; -1: not given. */
  readonly answer: Int32Array;
  /** [rows] class of a choice row's negative; -1: several negatives, another term, or not given. */
  readonly negative: Int32Array;
}

export interface LogisticRows {
  /** Width of a sketch. */
  readonly dim: number;
  /** Number of examples that the rows belong to. */
  readonly examples: number;
  /** [rows] margins h. */
  readonly margin: Float32Array;
  /** [rows, dim] sketches g, row-major. */
  readonly sketch: Float32Array;
  /** [rows] index of each row's example, 0 .. examples - 1, ascending. */
  readonly example: Int32Array;
  /** [rows] a value of ROW_TERMS each, ascending within an example. */
  readonly term: Uint8Array;
  readonly labels?: RowLabels;
}

/** One client's part of the estimation. */
export interface ClientSketch {
  readonly client: string;
  /** Training rows of the client; `train.examples` may be fewer (a sample). */
  readonly trainExamples: number;
  readonly train: LogisticRows;
  readonly validation: LogisticRows;
}
