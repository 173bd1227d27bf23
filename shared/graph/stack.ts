/**
 * One graph for several values of some of its inputs at once (vmap: Bradbury et al. 2018, JAX). Values that do not depend on those
 * inputs are computed once; all others have a leading axis. A product of a stacked value with a common matrix remains one product, of
 * all rows together.
 */
import { KindredError } from "../base/errors.js";
import { sizeOf } from "../base/tensors.js";
import { type Dim, product } from "./dims.js";
import { type Graph, GraphBuilder, type Node, type Value } from "./graph.js";

/** A value of the new graph, with the leading axis or without it. */
interface Mapped {
  readonly value: Value;
  readonly stacked: boolean;
}

/**
 * @param names inputs that get a leading axis of size `count`
 * @returns a graph whose outputs have that axis where they depend on those inputs
 * @throws {KindredError} `internal` for an operation without a rule
 */
export function stackGraph(graph: Graph, names: readonly string[], count: Dim): Graph {
  const g = new GraphBuilder();
  const made = new Map<number, Mapped>();
  for (const node of graph.nodes) {
    const { op, output } = node;
    const inputs = node.inputs.map(({ id }) => made.get(id)!);
    if (op.kind === "input") {
      const stacked = names.includes(op.name);
      const shape = stacked ? [count, ...output.shape] : output.shape;
      made.set(output.id, { value: g.input(op.name, shape, output.dtype), stacked });
    } else if (inputs.some(({ stacked }) => stacked)) {
      made.set(output.id, { value: stackNode(g, node, inputs, count), stacked: true });
    } else {
      const values = inputs.map(({ value }) => value);
      made.set(output.id, { value: g.push(op, values, output.shape, output.dtype), stacked: false });
    }
  }
  return g.build(
    Object.fromEntries(Object.entries(graph.outputs).map(([name, { id }]) => [name, made.get(id)!.value])),
  );
}

/** A node with at least one stacked input: its output is stacked too. */
function stackNode(g: GraphBuilder, { op, inputs: plain, output }: Node, inputs: readonly Mapped[], count: Dim): Value {
  const shape = [count, ...output.shape];
  const [first, second] = inputs as [Mapped, Mapped];
  const values = inputs.map(({ value }) => value);
  /** The operation on operands whose axes are aligned: a stacked one gets axes of size 1 after its leading axis. */
  const broadcast = (): Value => {
    const operands = inputs.map(({ value, stacked }) => {
      const missing = stacked ? shape.length - value.shape.length : 0;
      return g.reshape(value, [...value.shape.slice(0, 1), ...Array<Dim>(missing).fill(1), ...value.shape.slice(1)]);
    });
    return g.push(op, operands, shape);
  };
  /** The operation on rows: the leading axis is merged with the next one. */
  const merged = (...operands: Value[]): Value => {
    const [outer, ...inner] = output.shape as [Dim, ...Dim[]];
    return g.reshape(g.push(op, operands, [product([count, outer]), ...inner]), shape);
  };
  /** The value with the leading axis, repeated along it where it is common. */
  const spread = ({ value, stacked }: Mapped): Value => (stacked ? value : g.expand(value, [count, ...value.shape]));
  const refuse = (): never => {
    throw new KindredError("internal", `${op.kind} of stacked values has no rule`);
  };
  switch (op.kind) {
    case "matmul": {
      const rows = plain.every(({ shape }) => shape.length === 2) && !op.transA && !second.stacked;
      return rows ? merged(g.flattenFront(first.value, 2), second.value) : broadcast();
    }
    case "rotary":
      return inputs.slice(1).some(({ stacked }) => stacked)
        ? refuse()
        : merged(g.flattenFront(first.value, 2), ...values.slice(1));
    case "pick":
      return merged(g.flattenFront(spread(first), 2), g.flattenFront(spread(second), 2));
    case "rmsNorm":
    case "layerNorm": {
      const [, gain, bias] = inputs;
      if (!gain!.stacked && !bias?.stacked) return g.push(op, values, shape);
      // The norm takes one gain for all, so a stacked gain is applied after the norm.
      const width = plain[1]!.shape as readonly number[];
      const same = (number: number): Value => g.constant(new Float32Array(sizeOf(width)).fill(number), width);
      const neutral = [same(1), ...(bias === undefined ? [] : [same(0)])];
      const normed = g.push(op, [first.value, ...neutral], first.value.shape);
      const onRows = ({ value, stacked }: Mapped): Value =>
        stacked ? g.reshape(value, [count, ...Array<Dim>(output.shape.length - 1).fill(1), ...width]) : value;
      const scaled = g.mul(normed, onRows(gain!));
      return bias === undefined ? scaled : g.add(scaled, onRows(bias));
    }
    case "softmax":
    case "logSumExp":
      return inputs.slice(1).some(({ stacked }) => stacked) ? refuse() : g.push(op, values, shape);
    case "after":
      return g.after(spread(first), second.value);
    case "reshape":
      return g.reshape(first.value, shape);
    case "transpose":
      return g.transpose(first.value, [0, ...op.perm.map((axis) => axis + 1)]);
    case "slice":
      return g.slice(first.value, op.axis + 1, op.start, op.size);
    case "concat":
      return g.concat(inputs.map(spread), op.axis + 1, output.shape[op.axis]);
    case "gather":
      return second.stacked ? refuse() : g.gather(first.value, second.value, op.axis + 1);
    case "add":
    case "sub":
    case "mul":
    case "div":
    case "minimum":
      return broadcast();
    default:
      // Operations of one input and no setting act on each element.
      return plain.length === 1 && Object.keys(op).length === 1 ? g.push(op, values, shape) : refuse();
  }
}
