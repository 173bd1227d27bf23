/**
 * What a client reveals for estimation: rows of a logistic regression whose label is always +1.
 *
 * A row is a margin h and the sketch g of its gradient; the loss of an example under adapter weights w is the sum over its
 * terms of `log(1 + sum over the term's rows of exp(-(h + g.w)))`. An example has one row (the mean margin of its answer's
 * tokens over the full vocabulary), or two terms where it has choices: `format` (are the choices likely at all: a row against
 * the rest of the vocabulary, and rows against what other clients answer) and `choice` (which of them: one row against all other
 * choices, or one a negative). Where an answer parts from all that it is compared with at one token, the terms are its likelihood.
 */

/**
 * Forms of a margin. answer: over the whole vocabulary; two-term: format and choice apart; negatives: choice against each strong
 * negative, format against what other clients answer.
 */
export const MARGINS = ["answer", "two-term", "negatives"] as const;
export type MarginForm = (typeof MARGINS)[number];

/** Which margin a row is. */
export const ROW_TERMS = { answer: 0, format: 1, choice: 2 } as const;

/** Rows a term of an example may have: far more than pays, and a bound on what one client's rows cost the others, which are padded to the longest. */
export const MOST_NEGATIVES = 16;

/** Numbers of a sketch, all its projections together: what a row costs to send and to keep. */
export const MOST_NUMBERS = 65_536;

/** Projections of a gradient: each costs what the first does, and the noise falls with the root of their number. */
export const MOST_PROJECTIONS = 16;

/** Classes of answers a client may number: what a float32, as which indices are sent, holds exactly. */
export const MOST_CLASSES = 2 ** 24;

/** Which answers rows are about: indices into a list of the client's own that nobody else has. Sent only where asked for. */
export interface RowLabels {
  /** [examples] the right answer; -1: not told. */
  readonly answer: Int32Array;
  /** [rows] the negative of a choice row; -1: several together, another term, or not told. */
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
  /** Training rows the client really has; `train.examples` may be fewer (a capped sample). */
  readonly trainExamples: number;
  readonly train: LogisticRows;
  readonly validation: LogisticRows;
}
