/** The graphs of tuning over one base model and one adapter layout: training, sketching, logits. */

import { sizeOf } from "../../shared/base/tensors.js";
import type { Dim, Shape } from "../../shared/graph/dims.js";
import { gradients } from "../../shared/graph/gradients.js";
import { type Graph, GraphBuilder, type Value } from "../../shared/graph/graph.js";
import { type TensorProjection, tensorProjection } from "../../shared/sketch/projection.js";
import {
  type AdapterHooks,
  type Architecture,
  type Head,
  type KeysAndValues,
  noAdapter,
  type SequenceInputs,
  tableInput,
  type WeightOf,
} from "../models/architecture.js";
import type { BaseModel } from "../models/base.js";
import { type AdapterLayout, adapterInGraph } from "./adapter.js";
import {
  answerMargin,
  logitsOf,
  marginAgainst,
  marginAgainstRest,
  negativeLogLikelihood,
  setLogits,
  targetLogits,
} from "./objective.js";

/**
 * Declares the inputs of a sequence batch: `tokens` [B, T], and the model's position tables.
 * @param hooks `withPast` appends to keys and values of tokens that were run before (by default there are none); `onLayerInput` gets
 *   each layer's input
 */
export function sequenceInputs(
  g: GraphBuilder,
  { positionTables }: Architecture,
  { withPast, onLayerInput = () => {} }: Partial<Pick<SequenceInputs, "withPast" | "onLayerInput">> = {},
): SequenceInputs {
  const tokens = g.input("tokens", ["B", "T"], "int32");
  const sized = (shape: Shape): Shape => (withPast ? shape : shape.map((dim) => (dim === "K" ? "T" : dim)));
  const tables = new Map(
    positionTables.map(({ name, shape, dtype }) => [name, g.input(tableInput(name), sized(shape), dtype)]),
  );
  return { tokens, table: (name) => tables.get(name)!, onLayerInput, withPast: withPast ?? ((states) => states) };
}

/** The base model's weights with the adapter's changes, each declared at first use. */
export function adaptedWeights(g: GraphBuilder, { architecture, sources }: BaseModel, adapt: AdapterHooks): WeightOf {
  const made = new Map<string, Value>();
  return (name) => {
    let value = made.get(name);
    if (value === undefined) {
      value = adapt.weight(name, g.weight(name, architecture.weights.get(name)!, sources.get(name)!));
      made.set(name, value);
    }
    return value;
  };
}

/**
 * The head at `positions` [S] of the flattened batch. Logits of other tokens are not computed.
 * @param hooks `checkpoints` collects the input of each layer and the output of the last layer, for `gradients`
 */
function headAt(
  g: GraphBuilder,
  model: BaseModel,
  adapt: AdapterHooks,
  { withPast, checkpoints = [] }: { withPast?: SequenceInputs["withPast"]; checkpoints?: Value[] } = {},
): Head {
  const { architecture } = model;
  const weight = adaptedWeights(g, model, adapt);
  const onLayerInput = (x: Value): void => void checkpoints.push(x);
  const inputs = sequenceInputs(
    g,
    architecture,
    withPast === undefined ? { onLayerInput } : { onLayerInput, withPast },
  );
  const hidden = architecture.hiddenStates(g, inputs, weight, adapt);
  onLayerInput(hidden);
  return architecture.head(g, g.gather(hidden, g.input("positions", ["S"], "int32")), weight);
}

/** Logits at `positions`: [S, V]. */
function logitsAt(...asked: Parameters<typeof headAt>): Value {
  return logitsOf(asked[0], headAt(...asked));
}

/** The tokens that follow the positions. */
const targetsInput = (g: GraphBuilder): Value => g.input("targets", ["S", 1], "int32");

/** The inputs and outputs of `continueGraph` that hold keys and values. */
export function cacheNames({ layers }: Architecture): string[] {
  return Array.from({ length: layers }, (_, layer) => [`k.${layer}`, `v.${layer}`]).flat();
}

/**
 * `logits` [S, V] with the adapter, of tokens after others that an earlier run has processed. For each of `cacheNames` there is an
 * input [B, heads, P, width] with the earlier tokens' keys or values, and an output [B, heads, K, width] with all tokens'. P may be
 * 0.
 */
export function continueGraph(model: BaseModel, layout: AdapterLayout): Graph {
  const g = new GraphBuilder();
  const kept: Record<string, Value> = {};
  const names = cacheNames(model.architecture).values();
  const extended = (now: Value): Value => {
    const name = names.next().value as string;
    const [batch, heads, , width] = now.shape as [Dim, Dim, Dim, Dim];
    kept[name] = g.concat([g.input(name, [batch, heads, "P", width]), now], 2, "K");
    return kept[name];
  };
  const withPast = ({ k, v }: KeysAndValues): KeysAndValues => ({ k: extended(k), v: extended(v) });
  const logits = logitsAt(g, model, adapterInGraph(g, layout).adapt, { withPast });
  return g.build({ logits, ...kept });
}

/** `logits` [S, V] with the adapter; `nll` [S, 1]. */
export function forwardGraph(model: BaseModel, layout: AdapterLayout): Graph {
  const g = new GraphBuilder();
  const logits = logitsAt(g, model, adapterInGraph(g, layout).adapt);
  const targets = targetsInput(g);
  return g.build({ logits, nll: negativeLogLikelihood(g, logits, targets) });
}

/** Logits `choices` [S, K] of the tokens `members` [S, K] at `positions`. */
export function choicesGraph(model: BaseModel, layout: AdapterLayout): Graph {
  const g = new GraphBuilder();
  const logits = logitsAt(g, model, adapterInGraph(g, layout).adapt);
  return g.build({ choices: g.pick(logits, g.input("members", ["S", "K"], "int32")) });
}

/**
 * `loss` and its gradient `grad` [P] in the trained part: loss = sum of `weights` [S, 1] x negative log-likelihood of the
 * logits (plus `offset` [S, V] where given).
 * @param options `checkpoint`: layers are recomputed in the backward pass instead of kept
 */
export function trainingGraph(
  model: BaseModel,
  layout: AdapterLayout,
  { offset = false, checkpoint = false } = {},
): Graph {
  const g = new GraphBuilder();
  const adapter = adapterInGraph(g, layout, { training: true });
  const checkpoints: Value[] = [];
  const head = headAt(g, model, adapter.adapt, { checkpoints });
  const targets = targetsInput(g);
  let logits = logitsOf(g, head);
  let right = targetLogits(g, head, targets);
  if (offset) {
    const added = g.input("offset", ["S", model.architecture.vocabulary]);
    logits = g.add(logits, added);
    right = g.add(right, g.pick(added, targets));
  }
  const nll = negativeLogLikelihood(g, logits, targets, right);
  const loss = g.total(g.mul(g.input("weights", ["S", 1]), nll));
  const [grad] = gradients(g, loss, [adapter.trained], checkpoint ? checkpoints : []);
  return g.build({ loss, grad: grad as Value });
}

/**
 * `loss` as in training, and `product` [P]: the Hessian of the loss in the trained part times `probe` [P], as the gradient of
 * the gradient's product with the probe (Pearlmutter 1994).
 */
export function hessianProductGraph(model: BaseModel, layout: AdapterLayout): Graph {
  const g = new GraphBuilder();
  const adapter = adapterInGraph(g, layout);
  const logits = logitsAt(g, model, adapter.adapt);
  const targets = targetsInput(g);
  const loss = g.total(g.mul(g.input("weights", ["S", 1]), negativeLogLikelihood(g, logits, targets)));
  const [grad] = gradients(g, loss, [adapter.trained]);
  const slope = g.total(g.mul(grad as Value, g.input("probe", [layout.trainedSize])));
  const [product] = gradients(g, slope, [adapter.trained]);
  return g.build({ loss, product: product as Value });
}

/** Full-parameter training: all weights are one flat input `parameters` [P], in the order of `weights`. */
export function fullTrainingGraph(architecture: Architecture): Graph {
  const g = new GraphBuilder();
  const shapes = architecture.weights;
  let size = 0;
  const offsets = new Map<string, number>();
  for (const [name, shape] of shapes) {
    offsets.set(name, size);
    size += shape.reduce((n, dim) => n * dim, 1);
  }
  const parameters = g.input("parameters", [size]);
  const made = new Map<string, Value>();
  const weight: WeightOf = (name) => {
    let value = made.get(name);
    if (value === undefined) {
      const shape = shapes.get(name)!;
      const count = shape.reduce((n, dim) => n * dim, 1);
      value = g.reshape(g.slice(parameters, 0, offsets.get(name)!, count), shape);
      made.set(name, value);
    }
    return value;
  };
  const hidden = architecture.hiddenStates(g, sequenceInputs(g, architecture), weight, noAdapter(g));
  const rows = g.gather(hidden, g.input("positions", ["S"], "int32"));
  const nll = negativeLogLikelihood(g, logitsOf(g, architecture.head(g, rows, weight)), targetsInput(g));
  const loss = g.total(g.mul(g.input("weights", ["S", 1]), nll));
  const [grad] = gradients(g, loss, [parameters]);
  return g.build({ loss, grad: grad as Value });
}

export interface SketchPlan {
  /** Coordinates of a projection. */
  readonly dim: number;
  /** Number of independent projections, concatenated in a sketch of `projections * dim`. @default 1 */
  readonly projections?: number;
  readonly seed: number | bigint;
}

/**
 * Margins and sketches of a batch, one backward pass per margin: `margin` [B, 1] and `sketch` [B, projections * dim]; for set r
 * (from 0) of other clients' answers `format<r>Margin` and `format<r>Sketch`; for negative r `choice<r>Margin` and
 * `choice<r>Sketch`. Examples do not interact, so the gradient of the summed margins at an adapter's output contains each example's
 * own gradient: dB_i = e_i^T (x_i A^T). Only second factors are sketched, because the gradients of the first factors are zero while
 * the second factors are.
 */
export function sketchGraph(
  model: BaseModel,
  layout: AdapterLayout,
  plan: SketchPlan,
  options: MarginOptions = {},
): Graph {
  const { dim, seed, projections = 1 } = plan;
  return marginGraph(model, layout, options, (g, perExample) => {
    const sketches = Array.from({ length: projections }, (_, at) => {
      const folded = perExample.map(({ name, value }) => {
        const size = sizeOf(value.shape.slice(1) as number[]);
        return fold(g, value, tensorProjection(seed, name, size, dim, at), dim);
      });
      return folded.reduce((sum, one) => g.add(sum, one));
    });
    return { Sketch: g.concat(sketches, 1) };
  });
}

/** As `sketchGraph`, but with the gradients themselves: `grad:<tensor>` [B, ...shape] (and `format<r>Grad:...`, `choice<r>Grad:...`). */
export function perExampleGraph(model: BaseModel, layout: AdapterLayout, options: MarginOptions = {}): Graph {
  return marginGraph(model, layout, options, (_, perExample) =>
    Object.fromEntries(perExample.map(({ name, value }) => [`Grad:${name}`, value])),
  );
}

export interface MarginOptions {
  /**
   * For rows with choices. `negatives`: number of margins of the right choice, each against another choice or several together.
   * `otherClientAnswers`: number of margins of the choices, each against a set of other clients' answers. The first margin is then
   * the whole answer's.
   */
  readonly compared?: { readonly negatives: number; readonly otherClientAnswers: number } | undefined;
  /** Whether every second factor is zero, as in a fresh adapter: their products are left out. */
  readonly fresh?: boolean;
}

type Finish = (g: GraphBuilder, perExample: readonly { name: string; value: Value }[]) => Record<string, Value>;

function marginGraph(
  model: BaseModel,
  layout: AdapterLayout,
  { compared, fresh = false }: MarginOptions,
  finish: Finish,
): Graph {
  const g = new GraphBuilder();
  const adapter = adapterInGraph(g, layout, { fresh });
  const logits = logitsAt(g, model, adapter.adapt);
  const members = g.input("members", ["S", "K"], "int32");
  const repeats = g.input("repeats", ["S", "K"]);
  const outputs: Record<string, Value> = {};
  const term = (prefix: string, margin: Value): void => {
    outputs[lowerFirst(`${prefix}Margin`)] = margin;
    const upstream = gradients(
      g,
      g.total(margin),
      adapter.taps.map(({ output }) => output),
    );
    const perExample = adapter.taps.flatMap(({ input, weight, bias }, i) => {
      const errors = g.splitRows(upstream[i] as Value, "B");
      const product = g.matmul(errors, g.splitRows(input, "B"), { transA: true });
      return [
        { name: weight, value: product },
        ...(bias === undefined ? [] : [{ name: bias, value: g.sum(errors, [1]) }]),
      ];
    });
    for (const [name, value] of Object.entries(finish(g, perExample))) outputs[lowerFirst(prefix + name)] = value;
  };
  const tokens = marginAgainstRest(g, logits, members, repeats);
  if (compared === undefined) {
    term("", g.matmul(g.input("average", ["B", "S"]), tokens));
    return g.build(outputs);
  }
  const places = g.input("answers", ["B", "S"]);
  term("", answerMargin(g, tokens, { places, before: g.input("before", ["S", "S"]) }));
  const versus = (prefix: string, sets: number, ours: Value): void => {
    for (let r = 0; r < sets; r++) {
      const against = g.input(`${prefix}.${r}`, ["S", "K"]);
      term(`${prefix}${r}`, marginAgainst(g, logits, { ours, members, against, places }));
    }
  };
  // `build` removes nodes that no margin needs.
  versus("format", compared.otherClientAnswers, setLogits(g, logits, members, repeats));
  versus("choice", compared.negatives, g.pick(logits, targetsInput(g)));
  return g.build(outputs);
}

const lowerFirst = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);

/** Folds per-example gradients [B, ...shape] into [B, dim]. */
function fold(
  g: GraphBuilder,
  value: Value,
  { size, padded, block, order, signs }: TensorProjection,
  dim: number,
): Value {
  const flat = g.pad(g.reshape(value, ["B", size]), 1, 0, padded - size);
  const blocks = g.gather(g.reshape(flat, ["B", padded / block, block]), g.constant(order, [order.length]), 1);
  const signed = g.mul(g.reshape(blocks, ["B", padded]), g.constant(signs, [padded]));
  return g.sum(g.reshape(signed, ["B", padded / dim, dim]), [1]);
}

/** The sum of two vectors. */
export function sumGraph(size: number): Graph {
  const g = new GraphBuilder();
  return g.build({ sum: g.add(g.input("a", [size]), g.input("b", [size])) });
}

/**
 * The gradient of a loss with the proximal term mu / 2 |w - start|^2 (FedProx, Li et al. 2020): `grad` [P] from the loss's gradient
 * `loss` [P], the `values` [P], their `start` [P] and `mu` [1].
 */
export function proximalGraph(size: number): Graph {
  const g = new GraphBuilder();
  const [loss, values, start] = ["loss", "values", "start"].map((name) => g.input(name, [size])) as [
    Value,
    Value,
    Value,
  ];
  return g.build({ grad: g.add(loss, g.mul(g.sub(values, start), g.input("mu", [1]))) });
}

/** AdamW (Loshchilov and Hutter 2019) with clipping by the global norm, on one flat vector. */
export function adamwGraph(
  size: number,
  { beta1 = 0.9, beta2 = 0.999, eps = 1e-8 }: { beta1?: number; beta2?: number; eps?: number } = {},
): Graph {
  const g = new GraphBuilder();
  const [values, moment1, moment2, grad] = ["values", "moment1", "moment2", "grad"].map((name) =>
    g.input(name, [size]),
  ) as [Value, Value, Value, Value];
  // Scalars [1] that change from step to step.
  const [rate, decay, correction1, correction2, clip] = ["rate", "decay", "correction1", "correction2", "clip"].map(
    (name) => g.input(name, [1]),
  ) as [Value, Value, Value, Value, Value];
  // Scalar factors are multiplied first: fourteen passes over vectors remain of the nineteen in the paper's form.
  const norm = g.sqrt(g.sum(g.square(grad), [0], true));
  const shrink = g.minimum(g.constant(Float32Array.of(1), [1]), g.div(clip, g.add(norm, g.scalar(1e-6))));
  const first = g.add(g.scale(moment1, beta1), g.mul(grad, g.scale(shrink, 1 - beta1)));
  const energy = g.mul(g.square(grad), g.scale(g.square(shrink), 1 - beta2));
  const second = g.add(g.scale(moment2, beta2), energy);
  // m c1 / (sqrt(v c2) + eps) = m (c1 / sqrt(c2)) / (sqrt(v) + eps / sqrt(c2))
  const root = g.sqrt(correction2);
  const direction = g.div(first, g.add(g.sqrt(second), g.div(g.scalar(eps), root)));
  const kept = g.mul(values, g.sub(g.constant(Float32Array.of(1), [1]), decay));
  const next = g.sub(kept, g.mul(direction, g.div(g.mul(rate, correction1), root)));
  return g.build({ values: next, moment1: first, moment2: second, norm });
}
