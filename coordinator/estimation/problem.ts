/**
 * The estimator's input, checked once: the sketches of all clients, with the numbers that all later steps share.
 * It knows nothing of subsets, groups or the solution of surrogates.
 *
 * Losses are in nats per example (sum over the example's terms). Sketches are scaled by their own norm: `scale` is the root of the mean
 * squared norm of the training rows' sketches over all clients, and a solver works on g / scale, so that lambda does not depend on
 * alpha / r, on A or on the projection.
 */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Balance } from "../../shared/config/enumerations.js";
import {
  type ClientSketch,
  type LogisticRows,
  MOST_NEGATIVES,
  ROW_TERMS,
  type RowLabels,
} from "../../shared/sketch/types.js";

export interface EstimationProblem {
  readonly clients: readonly string[];
  readonly dim: number;
  /** Set by `reduceToPrincipalAxes`: width of the sketches as sent. */
  readonly sentDim?: number;
  /**
   * Root mean squared norm of the training sketches, each example counted with its client's weight and outlying clients bounded
   * (LARGEST_SHARE); 1 where all are zero.
   */
  readonly scale: number;
  readonly train: readonly LogisticRows[];
  readonly validation: readonly LogisticRows[];
  /** Each client's part of N_S: its number of training examples, balanced by `buildProblem`. */
  readonly trainExamples: Float64Array;
  /** Whether any rows have choices, in the two-term form. */
  readonly twoTerm: boolean;
  /** Set by `crossFit`: train and validation are then the same rows, and each example is held out in one fold. */
  readonly folds?: Folds;
  /** [clients] transformation of a held-out example's loss, where estimates are calibrated against real losses (calibration.ts). */
  readonly affineCalibrations?: readonly AffineCalibration[];
}

/** loss -> scale * loss + offset + steps * share, with the `transferShare` of the subset, 0 to 1. */
export interface AffineCalibration {
  readonly scale: number;
  readonly offset: number;
  readonly steps: number;
}

/**
 * How far a subset goes from a client's training alone (0) to training with all clients (1), by its share of foreign examples.
 * @param examples number of training examples of the subset, the client's included
 */
export function transferShare(problem: EstimationProblem, client: number, examples: number): number {
  const { trainExamples } = problem;
  const own = trainExamples[client]!;
  const all = trainExamples.reduce((sum, count) => sum + count, 0);
  if (all <= own || examples <= own) return 0;
  return (1 - own / examples) / (1 - own / all);
}

export interface Folds {
  readonly count: number;
  /** Fold of each example, one array per client. */
  readonly of: readonly Int32Array[];
}

/**
 * Validation examples per client from which on f is computed from the validation rows alone. With fewer, the standard error of a paired
 * difference of losses with a deviation of 1 is above 0.14 per client.
 */
const ENOUGH_VALIDATION = 50;
const MOST_FOLDS = 5;

/** Default number of folds for `crossFit`: 1 (no folds) where there are enough validation rows. */
export function defaultFolds(problem: EstimationProblem): number {
  let train = 0;
  let validation = 0;
  problem.train.forEach((part, i) => {
    train += part.examples;
    validation += problem.validation[i]!.examples;
  });
  if (validation >= ENOUGH_VALIDATION * problem.train.length) return 1;
  return Math.min(MOST_FOLDS, Math.max(2, Math.round((train + validation) / validation)));
}

/**
 * The same problem with every example, of training and validation rows alike, held out once: surrogates are fitted on the
 * other folds of all members, and f is the mean over a client's examples, each under the weights fitted without it. The default number
 * of folds preserves the training share of the rows. With 16 training and 8 validation examples that is three times the evidence for or
 * against a group. Only the estimate uses the rows so; no model is trained on a validation row.
 *
 * @param folds 1 returns the problem itself
 */
export function crossFit(problem: EstimationProblem, folds = defaultFolds(problem), seed = 0): EstimationProblem {
  if (folds === 1) return problem;
  if (!Number.isInteger(folds) || folds < 2)
    throw new KindredError("invalid_option", `estimation.folds must be a whole number of at least 1, got ${folds}`, {
      folds,
    });
  const rows = problem.train.map((part, i) => joined(part, problem.validation[i]!));
  const of = rows.map((part, i) => {
    const order = new SeededRng(seed, "folds", problem.clients[i]!).permutation(part.examples);
    const fold = new Int32Array(part.examples);
    order.forEach((example, at) => {
      fold[example] = at % folds;
    });
    return fold;
  });
  return { ...problem, train: rows, validation: rows, folds: { count: folds, of } };
}

function joined(a: LogisticRows, b: LogisticRows): LogisticRows {
  const rows = a.margin.length + b.margin.length;
  const margin = new Float32Array(rows);
  margin.set(a.margin);
  margin.set(b.margin, a.margin.length);
  const sketch = new Float32Array(rows * a.dim);
  sketch.set(a.sketch);
  sketch.set(b.sketch, a.sketch.length);
  const example = joinedIndices(
    a.example,
    b.example.map((e) => e + a.examples),
  );
  const term = new Uint8Array(rows);
  term.set(a.term);
  term.set(b.term, a.margin.length);
  const found = { dim: a.dim, examples: a.examples + b.examples, margin, sketch, example, term };
  if (a.labels === undefined && b.labels === undefined) return found;
  const [first, second] = [labelsOf(a), labelsOf(b)];
  const labels = {
    answer: joinedIndices(first.answer, second.answer),
    negative: joinedIndices(first.negative, second.negative),
  };
  return { ...found, labels };
}

function joinedIndices(a: Int32Array, b: Int32Array): Int32Array {
  const all = new Int32Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** The labels of a split; all unknown where they were not requested. */
function labelsOf({ labels, examples, margin }: LogisticRows): RowLabels {
  const unknown = (length: number) => new Int32Array(length).fill(-1);
  return labels ?? { answer: unknown(examples), negative: unknown(margin.length) };
}

/**
 * The weight of each training row of a client: the client's true number of examples, divided by the number of fitted ones; 0 for rows
 * of the held-out fold.
 */
export function rowWeights(problem: EstimationProblem, client: number, fold: number | undefined): Float64Array {
  const part = problem.train[client]!;
  const of = problem.folds?.of[client];
  const held = (example: number) => of !== undefined && of[example] === fold;
  let fitted = 0;
  for (let e = 0; e < part.examples; e++) if (!held(e)) fitted++;
  const weight = fitted === 0 ? 0 : problem.trainExamples[client]! / fitted;
  return Float64Array.from(part.example, (e) => (held(e) ? 0 : weight));
}

/** First row of each term, then the number of rows; the rows of a term are adjacent. */
export function termStarts({ example, term }: Pick<LogisticRows, "example" | "term">): Int32Array {
  const starts: number[] = [];
  for (let row = 0; row < example.length; row++) {
    if (row === 0 || example[row] !== example[row - 1] || term[row] !== term[row - 1]) starts.push(row);
  }
  return Int32Array.from([...starts, example.length]);
}

/** Larger margins are not plausible log odds and would overflow float32 sums. */
const LARGEST_MARGIN = 1e6;
/** Entries of a sketch beyond this would overflow float32 when squared and summed. */
const LARGEST_ENTRY = 1e15;

/**
 * Checks one client's sketch. Call it on arrival, so that one client's error does not stop the others.
 *
 * @param dim the agreed width
 * @throws {KindredError} `shape_mismatch` or `invalid_data`, naming the client and the field
 */
export function checkClientSketch(sketch: ClientSketch, dim: number): void {
  const { client, trainExamples } = sketch;
  checkRows(client, "train", sketch.train, dim);
  checkRows(client, "validation", sketch.validation, dim);
  if (!Number.isFinite(trainExamples) || trainExamples < sketch.train.examples)
    throw new KindredError(
      "invalid_data",
      `client ${client}: trainExamples must be at least the number of sketched examples, ${sketch.train.examples}, got ${trainExamples}`,
      { client, trainExamples, examples: sketch.train.examples },
    );
}

function checkRows(client: string, split: string, rows: LogisticRows, dim: number): void {
  const count = rows.margin.length;
  const wrongShape = (message: string) =>
    new KindredError("shape_mismatch", `client ${client}, ${split} rows: ${message}`, { client, split });
  const wrongValue = (message: string) =>
    new KindredError("invalid_data", `client ${client}, ${split} rows: ${message}`, { client, split });
  if (rows.dim !== dim)
    throw wrongShape(`sketch width is ${rows.dim}, expected ${dim}; sketch again with the agreed plan`);
  if (rows.sketch.length !== count * dim)
    throw wrongShape(`sketch holds ${rows.sketch.length} numbers, expected ${count} rows x ${dim}`);
  if (rows.example.length !== count || rows.term.length !== count)
    throw wrongShape(`example and term must have one entry for each of ${count} rows`);
  if (!Number.isInteger(rows.examples) || rows.examples < 1)
    throw wrongValue(`needs at least one example, got ${rows.examples}`);
  let previous = -1;
  let negatives = 0;
  for (let row = 0; row < count; row++) {
    const example = rows.example[row]!;
    if (example !== previous && example !== previous + 1)
      throw wrongValue(
        `row ${row} is of example ${example} after example ${previous}; examples must ascend without gaps`,
      );
    if (example === previous && rows.term[row]! < rows.term[row - 1]!)
      throw wrongValue(
        `row ${row} has term ${rows.term[row]} after ${rows.term[row - 1]}; the terms of an example ascend`,
      );
    negatives = example === previous && rows.term[row] === rows.term[row - 1] ? negatives + 1 : 1;
    if (negatives > MOST_NEGATIVES)
      throw wrongValue(`example ${example} has more than ${MOST_NEGATIVES} rows of term ${rows.term[row]}`);
    previous = example;
    if (rows.term[row]! > ROW_TERMS.choice) throw wrongValue(`row ${row} has unknown term ${rows.term[row]}`);
    const margin = rows.margin[row]!;
    if (!(Math.abs(margin) <= LARGEST_MARGIN))
      throw wrongValue(`margin of row ${row} must be finite and at most 1e6, got ${margin}`);
  }
  if (previous !== rows.examples - 1)
    throw wrongValue(`${rows.examples} examples announced, got rows of ${previous + 1}`);
  const { sketch } = rows;
  for (let i = 0; i < sketch.length; i++)
    if (!(Math.abs(sketch[i]!) <= LARGEST_ENTRY))
      throw wrongValue(`sketch of row ${Math.floor(i / dim)}, entry ${i % dim} must be finite, got ${sketch[i]}`);
}

/**
 * A client's mean squared norm counts for at most this many times the clients' median: one client with sketches a million times
 * too large would otherwise regularise all others to nothing.
 */
const LARGEST_SHARE = 10;

function robustMean(values: Float64Array, weights: Float64Array): number {
  const sorted = values.toSorted();
  const median = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  const most = median > 0 ? LARGEST_SHARE * median : Number.POSITIVE_INFINITY;
  let sum = 0;
  let total = 0;
  values.forEach((value, i) => {
    sum += weights[i]! * Math.min(value, most);
    total += weights[i]!;
  });
  return sum / total;
}

function balanced(examples: Float64Array, balance: Balance): Float64Array {
  if (balance === "none") return examples;
  const sorted = examples.toSorted();
  if (balance === "up") return examples.fill(sorted.at(-1)!);
  const median = sorted[(sorted.length - 1) >> 1]!;
  return examples.map((count) => Math.min(count, median));
}

/**
 * Checks all sketches and computes the numbers that all steps share. The sketches are not copied.
 *
 * @param balance of the clients' weights in N_S
 * @throws {KindredError} as `checkClientSketch`; `invalid_data` without clients, `name_taken` for a repeated name
 */
export function buildProblem(sketches: readonly ClientSketch[], balance: Balance = "none"): EstimationProblem {
  const first = sketches[0];
  if (first === undefined)
    throw new KindredError("invalid_data", "estimation needs at least one client's sketch, got none");
  const dim = first.train.dim;
  if (!Number.isInteger(dim) || dim < 1)
    throw new KindredError("shape_mismatch", `client ${first.client}: sketch width must be at least 1, got ${dim}`, {
      client: first.client,
    });
  const names = new Set<string>();
  const meanSquare = new Float64Array(sketches.length);
  let twoTerm = false;
  sketches.forEach((sketch, i) => {
    checkClientSketch(sketch, dim);
    if (names.has(sketch.client))
      throw new KindredError("name_taken", `two sketches are named ${sketch.client}`, { client: sketch.client });
    names.add(sketch.client);
    let sum = 0;
    for (const x of sketch.train.sketch) sum += x * x;
    meanSquare[i] = sum / sketch.train.margin.length;
    twoTerm ||= sketch.train.term.some((term) => term === ROW_TERMS.choice);
  });
  const trainExamples = balanced(
    Float64Array.from(sketches, (sketch) => sketch.trainExamples),
    balance,
  );
  const rows = trainExamples.map((count, i) => {
    const { examples, margin } = sketches[i]!.train;
    return (count / examples) * margin.length;
  });
  return {
    clients: sketches.map((sketch) => sketch.client),
    dim,
    scale: Math.sqrt(robustMean(meanSquare, rows)) || 1,
    train: sketches.map((sketch) => sketch.train),
    validation: sketches.map((sketch) => sketch.validation),
    trainExamples,
    twoTerm,
  };
}
