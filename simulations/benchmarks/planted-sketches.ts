/**
 * Synthetic sketches with planted groups, for the estimator's tests and benchmark: inputs of the same kind for all clients, and one
 * labelling rule (a direction) per group. An example's row is g = y x, h = y b, with the label y = +1 or -1 drawn from
 * the group's rule: the logistic model that the surrogate fits. They do not model a language model's sketches.
 */
import { SeededRng } from "../../shared/base/random.js";
import { type ClientSketch, type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";

export interface PlantedSketchOptions {
  clients: number;
  /** Planted groups; client i is in group i mod groups. */
  groups: number;
  train: number;
  validation: number;
  dim: number;
  /** Directions with most of an input's norm: their variances fall as 1 / j. @default 24 */
  effectiveDim?: number;
  /** Norm of a rule: standard deviation of its log odds on an input. @default 6 */
  strength?: number;
  /** Share of a rule common to all groups, 0 .. 1; 1 means no conflict. @default 0 */
  common?: number;
  /** Correlation of the log odds of two clients of a group on the same inputs: below 1 each client has a rule of its own. @default 1 */
  agreement?: number;
  seed?: number;
}

export interface PlantedSketches {
  readonly sketches: ClientSketch[];
  /** Group of each client. */
  readonly labels: number[];
}

export function plantedSketches(options: PlantedSketchOptions): PlantedSketches {
  const { clients, groups, dim, effectiveDim = 24, strength = 6, common = 0, agreement = 1, seed = 0 } = options;
  const spread = Float64Array.from({ length: dim }, (_, j) => (j < effectiveDim ? 1 / Math.sqrt(1 + j) : 0.05));
  const total = Math.hypot(...spread);
  for (let j = 0; j < dim; j++) spread[j]! /= total;
  const direction = (...labels: (string | number)[]) => {
    const rng = new SeededRng(seed, "rule", ...labels);
    return Float64Array.from({ length: dim }, (_, j) => (j < effectiveDim ? rng.normal() : 0));
  };
  const mixed = (a: Float64Array, b: Float64Array, share: number) =>
    a.map((x, j) => Math.sqrt(1 - share) * x + Math.sqrt(share) * b[j]!);
  const scaled = (rule: Float64Array) => {
    const deviation = Math.hypot(...rule.map((x, j) => x * spread[j]!));
    return rule.map((x) => (x * strength) / deviation);
  };
  const shared = direction("all");
  const rules = Array.from({ length: groups }, (_, c) => mixed(direction(c), shared, common));
  const ruleOf = (i: number, group: number) =>
    scaled(agreement === 1 ? rules[group]! : mixed(direction("client", i), rules[group]!, agreement));
  const labels = Array.from({ length: clients }, (_, i) => i % groups);
  const draw = (rng: SeededRng, examples: number, rule: Float64Array): LogisticRows => {
    const sketch = new Float32Array(examples * dim);
    const margin = new Float32Array(examples);
    for (let r = 0; r < examples; r++) {
      const x = Float64Array.from(spread, (s) => s * rng.normal());
      const odds = x.reduce((sum, value, j) => sum + value * rule[j]!, 0);
      const y = rng.uniform() < 1 / (1 + Math.exp(-odds)) ? 1 : -1;
      margin[r] = y * 0.2 * rng.normal();
      for (let j = 0; j < dim; j++) sketch[r * dim + j] = y * x[j]!;
    }
    return {
      dim,
      examples,
      margin,
      sketch,
      example: Int32Array.from({ length: examples }, (_, r) => r),
      term: new Uint8Array(examples).fill(ROW_TERMS.answer),
    };
  };
  const sketches = labels.map((label, i) => {
    const rng = new SeededRng(seed, "client", i);
    const rule = ruleOf(i, label);
    return {
      client: `client-${i}`,
      trainExamples: options.train,
      train: draw(rng, options.train, rule),
      validation: draw(rng, options.validation, rule),
    };
  });
  return { sketches, labels };
}
