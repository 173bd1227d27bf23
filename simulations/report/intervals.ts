/**
 * Intervals of measured scores by the bootstrap (Efron 1979): each client's test rows are drawn anew with replacement, scores are
 * computed from the drawn rows, and the interval reaches from the 2.5th to the 97.5th percentile. All methods see the same drawn rows,
 * so that differences of methods are paired. Means over clients are of these clients: rows are drawn, clients are not.
 *
 * Macro-F1 depends on the number of different rows: where rows are drawn twice others are missing, and classes with them. Its resamples
 * are therefore moved as a whole, until their mean is the score itself: the interval is that of the score on as many rows.
 *
 * A percentile's position errs by sqrt(0.025 x 0.975 / 1000), half a percent. With few rows percentile intervals are too narrow: for rows
 * with exponential losses they held the true loss in 82 % of 1,000 cases with 5 rows, 88 % with 10, 92 % with 20, 95 % with 50 and 100.
 * It knows nothing of methods' names.
 */
import { Guesses } from "../../shared/base/macro-f1.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Interval } from "./types.js";

/** Number of resamples. */
export const RESAMPLES = 1000;

/** One client's test rows under several methods. */
export interface MeasuredRows {
  readonly client: string;
  /** Scored tokens, [rows]. */
  readonly tokens: ArrayLike<number>;
  /** Class of the right answer, [rows]; -1 where a row has no choices. */
  readonly right: ArrayLike<number>;
  /** By method. */
  readonly methods: readonly {
    /** Nats, [rows]. */
    readonly nll: ArrayLike<number>;
    /** Class of the answer given, [rows]; -1 where a row has no choices. */
    readonly answer: ArrayLike<number>;
  }[];
}

/** Scores in each resample, [RESAMPLES]. NaN where a resample has no row with choices. */
export interface Resampled {
  readonly loss: Float64Array;
  /** Nats per row. */
  readonly rowLoss: Float64Array;
  /** Undefined where no row has choices. */
  readonly accuracy: Float64Array | undefined;
  readonly macroF1: Float64Array | undefined;
}

/** @returns by method; undefined for fewer than two rows, whose spread is unknown */
export function resample(rows: MeasuredRows, seed: number): Resampled[] | undefined {
  const { length } = rows.tokens;
  if (length < 2) return undefined;
  const rng = new SeededRng(seed, "bootstrap of test rows", rows.client);
  const choices = Array.from(rows.right).some((label) => label >= 0);
  const scored = rows.methods.map(({ nll, answer }) => ({
    nll: Float64Array.from(nll),
    correct: Uint8Array.from(answer, (guess, r) => (guess >= 0 && guess === rows.right[r] ? 1 : 0)),
    guesses: choices ? new Guesses(rows.right, answer) : undefined,
    loss: new Float64Array(RESAMPLES),
    rowLoss: new Float64Array(RESAMPLES),
    accuracy: choices ? new Float64Array(RESAMPLES) : undefined,
    macroF1: choices ? new Float64Array(RESAMPLES) : undefined,
  }));
  const drawn = new Int32Array(length);
  for (let b = 0; b < RESAMPLES; b++) {
    let tokens = 0;
    let withChoices = 0;
    for (let k = 0; k < length; k++) {
      const r = rng.int(length);
      drawn[k] = r;
      tokens += rows.tokens[r]!;
      if (rows.right[r]! >= 0) withChoices++;
    }
    const answered = withChoices < length ? drawn.filter((r) => rows.right[r]! >= 0) : drawn;
    for (const { nll, correct, guesses, loss, rowLoss, accuracy, macroF1 } of scored) {
      let sum = 0;
      let hits = 0;
      for (let k = 0; k < length; k++) {
        sum += nll[drawn[k]!]!;
        hits += correct[drawn[k]!]!;
      }
      loss[b] = sum / tokens;
      rowLoss[b] = sum / length;
      if (accuracy !== undefined) accuracy[b] = withChoices > 0 ? hits / withChoices : Number.NaN;
      if (macroF1 !== undefined) macroF1[b] = withChoices > 0 ? guesses!.macroF1(answered) : Number.NaN;
    }
  }
  const answered = Int32Array.from({ length }, (_, r) => r).filter((r) => rows.right[r]! >= 0);
  return scored.map(({ loss, rowLoss, accuracy, macroF1, guesses }) => ({
    loss,
    rowLoss,
    accuracy,
    macroF1: macroF1 && centred(macroF1, guesses!.macroF1(answered)),
  }));
}

/** Moved so that their mean is the given score. */
function centred(scores: Float64Array, score: number): Float64Array {
  const known = scores.filter((x) => !Number.isNaN(x));
  const shift = score - known.reduce((sum, x) => sum + x, 0) / known.length;
  return scores.map((x) => x + shift);
}

/** The 95 % interval of resampled scores. Resamples without a score are left out. */
export function intervalOf(scores: Float64Array): Interval {
  const sorted = scores.filter((x) => !Number.isNaN(x)).sort();
  return [percentile(sorted, 0.025), percentile(sorted, 0.975)];
}

/** Linear between neighbours, as NumPy's default. @param sorted ascending, not empty */
function percentile(sorted: Float64Array, q: number): number {
  const place = q * (sorted.length - 1);
  const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
  return below + (above - below) * (place - Math.floor(place));
}

/** a - b, resample by resample. */
export const differenceOf = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, k) => x - b[k]!);

/** Means over clients, resample by resample. @param clients at least one */
export function meanOf(clients: readonly Float64Array[]): Float64Array {
  return clients[0]!.map((_, b) => clients.reduce((sum, of) => sum + of[b]!, 0) / clients.length);
}
