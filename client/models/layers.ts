/** Building blocks that families share: linears, LayerNorms, activations, by the names that Hugging Face gives them. */
import { KindredError } from "../../shared/base/errors.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import { type AdapterHooks, type Linear, linearShape, type WeightOf } from "./architecture.js";

/** A weight's name and shape. */
export type NamedShape = readonly [name: string, shape: readonly number[]];

/** All linears of a model, for the function that builds its layers. */
export interface LayerLinears {
  readonly linears: readonly Linear[];
}

/** Names and shapes of linears' weights and biases. */
export function linearWeights(linears: readonly Linear[]): NamedShape[] {
  return linears.flatMap((linear): NamedShape[] => [
    [`${linear.name}.weight`, linearShape(linear)],
    ...(linear.bias ? [[`${linear.name}.bias`, [linear.out]] as const] : []),
  ]);
}

/** Marks linears that have the same input, such as q, k and v. */
export const sharedInput = (...linears: Linear[]): Linear[] =>
  linears.map((linear) => ({ ...linear, inputGroup: linears[0]!.name }));

/** Linears as functions by name, an adapter's part included: x [B*T, in] -> [B*T, out]. */
export function adaptedLinears(
  g: GraphBuilder,
  linears: readonly Linear[],
  weight: WeightOf,
  adapt: AdapterHooks,
): (name: string, x: Value) => Value {
  const byName = new Map(linears.map((linear) => [linear.name, linear]));
  return (name, x) => {
    const linear = byName.get(name);
    if (linear === undefined) throw new KindredError("internal", `no linear is called ${name}`);
    return adapt.linear(name, x, () => {
      const product = g.matmul(x, weight(`${name}.weight`), { transB: !linear.inputFirst });
      return linear.bias ? g.add(product, weight(`${name}.bias`)) : product;
    });
  };
}

/** Names and shapes of LayerNorms' weights and biases. */
export function normWeights(modules: readonly string[], hidden: number): NamedShape[] {
  return modules.flatMap((module): NamedShape[] => [
    [`${module}.weight`, [hidden]],
    [`${module}.bias`, [hidden]],
  ]);
}

/** A LayerNorm by its module's name. */
export function layerNorm(g: GraphBuilder, x: Value, module: string, eps: number, weight: WeightOf): Value {
  return g.layerNorm(x, weight(`${module}.weight`), weight(`${module}.bias`), eps);
}

export type Activation = (g: GraphBuilder, x: Value) => Value;

/** Activations by transformers' names; several names have one meaning. */
export const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map<string, Activation>([
  ["silu", (g, x) => g.silu(x)],
  ["swish", (g, x) => g.silu(x)],
  ["gelu", (g, x) => g.gelu(x)],
  ["gelu_new", (g, x) => g.geluTanh(x)],
  ["gelu_fast", (g, x) => g.geluTanh(x)],
  ["gelu_pytorch_tanh", (g, x) => g.geluTanh(x)],
  ["relu", (g, x) => g.relu(x)],
]);
