/**
 * A margin along the straight way from a fresh adapter to a tuned one, and its first-order expansion at the fresh one:
 * h(theta) ~ h* + <grad h*, theta - theta*>. It knows nothing of the tuning of the adapter.
 */
import type { EncodedRow } from "../../../client/data/types.js";
import { type AdapterLayout, type AdapterValues, adapterTensors } from "../../../client/tuning/adapter.js";
import type { LoraLayout } from "../../../client/tuning/lora.js";
import { scaleOf } from "../../../shared/adapters/scale.js";
import { sizeOf } from "../../../shared/base/tensors.js";
import { addSketch, tensorProjection } from "../../../shared/sketch/projection.js";
import {
  type AdaptedBase,
  eachGradient,
  eachLogits,
  gradientTensors,
  hasMargin,
  marginOf,
  ROW_MARGINS,
  type RowMargin,
  secondFactors,
} from "./linearisation.js";

export interface AdapterPath {
  /** A fresh adapter, where the expansion is. */
  readonly start: AdapterValues;
  readonly tuned: AdapterValues;
  /** Shares of the way at which the margin is evaluated; 1 is the tuned adapter. */
  readonly shares: readonly number[];
  /** Step of the finite difference on either side of the start, as a share of the way. */
  readonly probe: number;
  /** The sketch whose error is evaluated separately. */
  readonly sketch: { readonly dim: number; readonly seed: number };
}

/** The expansion of one margin of one row. */
export interface Expansion {
  /** The row's place. */
  readonly row: number;
  readonly margin: RowMargin;
  /** h at the start. */
  readonly start: number;
  /** Change of h a whole way, by its gradient at the start. */
  readonly slope: number;
  /** The same between sketches of the gradient and of the way. */
  readonly sketchedSlope: number;
  /** The same by a central difference. */
  readonly differenceSlope: number;
  /** [shares] h there. */
  readonly values: readonly number[];
  /** [shares] h of logits that are themselves expanded to first order: the remaining error is the network's, without the softmax's. */
  readonly ofLinearLogits: readonly number[];
}

/** Values at a share of the way; below 0 on the other side of the start. */
export function alongWay({ start, tuned }: Pick<AdapterPath, "start" | "tuned">, share: number): AdapterValues {
  const between = (from: Float32Array, to: Float32Array) => from.map((value, i) => value + share * (to[i]! - value));
  return { frozen: start.frozen, trained: between(start.trained, tuned.trained) };
}

/** The expansions of all margins of the rows. */
export async function expandAlong(
  on: AdaptedBase,
  way: AdapterPath,
  rows: readonly EncodedRow[],
): Promise<Expansion[]> {
  const { compiledGraphs, layout } = on;
  const { start, tuned, shares, probe } = way;
  const { vocabulary } = compiledGraphs.model.architecture;
  const seen = new Map<string, Pick<Expansion, "start" | "differenceSlope" | "values" | "ofLinearLogits">>();
  const places = [0, probe, -probe, ...shares];
  const adapters = places.map((share) => alongWay(way, share));
  await eachLogits(on, adapters, rows, (at, logits) => {
    const row = rows[at]!;
    const [here, ahead, behind, ...there] = logits as [Float32Array, Float32Array, Float32Array, ...Float32Array[]];
    const slope = Float64Array.from(ahead, (value, k) => (value - behind[k]!) / (2 * probe));
    for (const margin of ROW_MARGINS.filter((margin) => hasMargin(row, margin))) {
      const of = (values: Float32Array | Float64Array) => marginOf(row, values, vocabulary, margin);
      seen.set(`${at} ${margin}`, {
        start: of(here),
        differenceSlope: (of(ahead) - of(behind)) / (2 * probe),
        values: there.map(of),
        ofLinearLogits: shares.map((share) => of(slope.map((value, k) => here[k]! + share * value))),
      });
    }
  });
  const sketchOf = sketcher(layout, way.sketch);
  const delta = secondFactors(
    layout,
    tuned.trained.map((value, k) => value - start.trained[k]!),
  );
  const deltaSketch = sketchOf(delta);
  const expansions: Expansion[] = [];
  for (const margin of ROW_MARGINS) {
    const having = rows.flatMap((row, at) => (hasMargin(row, margin) ? [at] : []));
    const own = having.map((at) => rows[at]!);
    await eachGradient(on, start, own, margin, (i, _, gradient) => {
      const row = having[i]!;
      const slope = dot(gradient, delta);
      const sketchedSlope = dot(sketchOf(gradient), deltaSketch);
      expansions.push({ row, margin, slope, sketchedSlope, ...seen.get(`${row} ${margin}`)! });
    });
  }
  return expansions;
}

/** Sketches vectors of the second factors as a client sketches gradients. */
export function sketcher(layout: AdapterLayout, { dim, seed }: { readonly dim: number; readonly seed: number }) {
  const parts = gradientTensors(layout).map(({ name, shape }) => tensorProjection(seed, name, sizeOf(shape), dim));
  return (vector: Float32Array): Float64Array => {
    const sketch = new Float64Array(dim);
    let from = 0;
    for (const projection of parts) {
      addSketch(projection, vector.subarray(from, from + projection.size), sketch);
      from += projection.size;
    }
    return sketch;
  };
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}

/** Euclidean distance of an adapter's parameters from the start. */
export function distance(start: AdapterValues, { trained }: AdapterValues): number {
  const difference = trained.map((value, i) => value - start.trained[i]!);
  return Math.sqrt(dot(difference, difference));
}

/** Frobenius norm of a LoRA's change of the weights, s B A over all its linears. */
export function weightChange(layout: LoraLayout, values: AdapterValues): number {
  const { rank, alpha, rslora } = layout.spec;
  const tensors = adapterTensors(layout, values);
  let sum = 0;
  for (const linear of layout.linears) {
    const a = tensors.get(`${linear.name}.lora_A.weight`)!.data;
    const b = tensors.get(`${linear.name}.lora_B.weight`)!.data;
    // |B A|^2 = <B^T B, A A^T>, both [rank, rank].
    for (let i = 0; i < rank; i++) {
      for (let j = 0; j < rank; j++) {
        let [aa, bb] = [0, 0];
        for (let k = 0; k < linear.in; k++) aa += a[i * linear.in + k]! * a[j * linear.in + k]!;
        for (let k = 0; k < linear.out; k++) bb += b[k * rank + i]! * b[k * rank + j]!;
        sum += aa * bb;
      }
    }
  }
  return scaleOf({ rank, alpha, useRslora: rslora }) * Math.sqrt(sum);
}
