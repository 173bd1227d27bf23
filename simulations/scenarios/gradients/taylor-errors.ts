/**
 * The measurements of a study of the first-order approximation, and its errors over examples, relative to the margin and to its change.
 * It knows nothing of the computation of margins.
 */

import type { Options } from "../harness/setup.js";
import { mean, type Ratio, ratioOfMeans } from "../harness/statistics.js";
import type { Expansion } from "./expansion.js";
import type { RowMargin } from "./linearisation.js";

/** Adapters and bases. `goal`: largest error relative to |h| at steps of `LENGTHS`. */
export const KINDS = {
  LoRA: { options: {}, goal: 0.01 },
  Houlsby: { options: { adapter: { kind: "houlsby" } }, goal: 0.01 },
  QLoRA: { options: { base: { quantization: "nf4" } }, goal: 0.03 },
  QAdapter: { options: { adapter: { kind: "houlsby" }, base: { quantization: "nf4" } }, goal: 0.03 },
  Pfeiffer: { options: { adapter: { kind: "pfeiffer" } }, goal: 0.01 },
  "LoRA, A too": { options: { adapter: { freezeA: false } }, goal: 0.01 },
} as const satisfies Readonly<Record<string, { readonly options: Options; readonly goal: number }>>;
export type Kind = keyof typeof KINDS;
export const ADAPTER_KINDS = Object.keys(KINDS) as readonly Kind[];

/** Steps, relative to the norm of all weights of the base model. */
export const LENGTHS = [0.0005, 0.001, 0.0015, 0.002] as const;
/** Further steps, shares of the way to the tuned adapter. */
export const SHARES = [0.25, 0.5, 1] as const;
export const STEPS = LENGTHS.length + SHARES.length;
export const TUNED = STEPS - 1;

/** One tuning, on one dataset or on all of them. */
export interface PathResult {
  readonly group: readonly string[];
  /** Mean validation loss over the datasets. */
  readonly loss: { readonly before: number; readonly after: number };
  /** [STEPS] shares of the way. */
  readonly shares: readonly number[];
  /** [STEPS] the parameters' distance from the start, relative to the norm of all base weights. */
  readonly lengths: readonly number[];
  /** [STEPS] the norm of the change of the weights, relative to that of all base weights; null where the adapter is no change of weights. */
  readonly weightChanges: readonly number[] | null;
  /** `row`: the place among the validation rows of the dataset. */
  readonly expansions: readonly (Expansion & { readonly client: string })[];
}

export interface KindResult {
  readonly kind: Kind;
  readonly seed: number;
  readonly norms: Norms;
  readonly ways: readonly PathResult[];
}

export interface Norms {
  /** Of all weights of the base model, as its files have them. */
  readonly all: number;
  /** Of the linears that a LoRA changes; null for other adapters. */
  readonly adapted: number | null;
}

/** Approximations of the margin. */
const ESTIMATES = {
  linear: ({ start, slope }: Expansion, _: number, share: number) => start + share * slope,
  sketched: ({ start, sketchedSlope }: Expansion, _: number, share: number) => start + share * sketchedSlope,
  logits: ({ ofLinearLogits }: Expansion, step: number) => ofLinearLogits[step]!,
} as const;
type Estimate = keyof typeof ESTIMATES;

export interface Errors {
  /** mean |h| and mean |h - h*| */
  readonly margin: number;
  readonly change: number;
  /** mean |h_hat - h| / mean |h| */
  readonly ofMargin: Ratio;
  /** mean (h_hat - h)^2 / mean h^2 */
  readonly squared: Ratio;
  /** mean |h_hat - h| / mean |h - h*| */
  readonly ofChange: Ratio;
}

/** Sums over the ways of one example. */
interface Sums {
  readonly error: number;
  readonly value: number;
  readonly change: number;
  readonly error2: number;
  readonly value2: number;
}

/** Errors over the examples of all tunings; an example in several tunings counts once. */
export function errorsOf(results: readonly KindResult[], margin: RowMargin, step: number, estimate: Estimate): Errors {
  const examples = new Map<string, Sums>();
  let count = 0;
  for (const { seed, ways } of results) {
    for (const { shares, expansions } of ways) {
      for (const one of expansions.filter((expansion) => expansion.margin === margin)) {
        const key = `${seed} ${one.client} ${one.row}`;
        const h = one.values[step]!;
        const error = Math.abs(ESTIMATES[estimate](one, step, shares[step]!) - h);
        const before = examples.get(key);
        examples.set(key, {
          error: (before?.error ?? 0) + error,
          value: (before?.value ?? 0) + Math.abs(h),
          change: (before?.change ?? 0) + Math.abs(h - one.start),
          error2: (before?.error2 ?? 0) + error ** 2,
          value2: (before?.value2 ?? 0) + h ** 2,
        });
        count++;
      }
    }
  }
  const of = (name: keyof Sums): number[] => Array.from(examples.values(), (sums) => sums[name]);
  const meanOf = (name: keyof Sums): number => (mean(of(name)) * examples.size) / count;
  return {
    margin: meanOf("value"),
    change: meanOf("change"),
    ofMargin: ratioOfMeans(of("error"), of("value")),
    squared: ratioOfMeans(of("error2"), of("value2")),
    ofChange: ratioOfMeans(of("error"), of("change")),
  };
}
