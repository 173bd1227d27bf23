/** Counts the operations of a graph from its nodes. */
import { type Bindings, bind, product, resolve } from "./dims.js";
import type { Graph } from "./graph.js";

/** Binds a graph's symbols from the shapes of its feeds. @throws {KindredError} `shape_mismatch` naming the feed */
export function bindFeeds(graph: Graph, shapes: Readonly<Record<string, readonly number[]>>): Bindings {
  const bindings: Record<string, number> = {};
  const inputs = Object.entries(graph.inputs);
  // Products last: their symbols are bound then, whatever the order of inputs.
  const isProduct = ([, { shape }]: (typeof inputs)[number]): boolean => shape.some((dim) => `${dim}`.includes("*"));
  for (const [name, value] of [...inputs.filter((input) => !isProduct(input)), ...inputs.filter(isProduct)]) {
    const given = shapes[name];
    if (given !== undefined) bind(`feed ${name}`, value.shape, given, bindings);
  }
  return bindings;
}

/** Floating-point operations of one run: 2 m n k per matrix product, a few per element elsewhere; moves count as 0. */
export function flops(graph: Graph, bindings: Bindings): number {
  let count = 0;
  for (const { op, inputs, output } of graph.nodes) {
    switch (op.kind) {
      case "input":
      case "weight":
      case "constant":
      case "zeros":
      case "reshape":
      case "after":
      case "expand":
      case "transpose":
      case "gather":
      case "pick":
      case "place":
      case "fill":
      case "slice":
      case "pad":
      case "concat":
        break;
      case "matmul": {
        const inner = inputs[0]!.shape.at(op.transA ? -2 : -1)!;
        count += 2 * resolve(product([...output.shape, inner]), bindings);
        break;
      }
      case "sum":
      case "inverseRms":
      case "logSumExp":
      case "scatterRows":
        count += resolve(product(inputs[0]!.shape), bindings);
        break;
      case "inverseStd":
        count += 3 * resolve(product(inputs[0]!.shape), bindings);
        break;
      case "layerNorm":
        count += 5 * resolve(product(output.shape), bindings);
        break;
      case "rmsNorm":
      case "rotary":
      case "softmax":
        count += 3 * resolve(product(output.shape), bindings);
        break;
      default:
        count += resolve(product(output.shape), bindings);
    }
  }
  return count;
}
