/**
 * Reverse-mode differentiation: appends the nodes of the backward pass to the graph. Only nodes between `wrt` and the output are
 * visited, so nothing is computed below the first adapted layer.
 */
import { KindredError } from "../base/errors.js";
import { type Dim, type Shape, sameShape } from "./dims.js";
import type { GraphBuilder, Node, Value } from "./graph.js";
import { Recomputation } from "./recomputation.js";

/**
 * Gradients of a scalar with respect to `wrt`, as values of the same graph; zeros where there is no path.
 * @param checkpoints in the order of building, for instance the inputs of layers. Values between one checkpoint and the next are not
 *   kept for the backward pass but recomputed from the checkpoint (Chen et al. 2016): memory of one segment instead of all, for the
 *   time of another forward pass
 * @throws {KindredError} `shape_mismatch` unless `output` is a scalar
 */
export function gradients(
  g: GraphBuilder,
  output: Value,
  wrt: readonly Value[],
  checkpoints: readonly Value[] = [],
): Value[] {
  if (output.shape.length !== 0) {
    throw new KindredError("shape_mismatch", `gradients of shape [${output.shape.join(", ")}], not of a scalar`);
  }
  const depends = new Set<number>(wrt.map((value) => value.id));
  const first = Math.min(...depends);
  const forward: Node[] = [];
  for (let id = first; id <= output.id; id++) {
    const node = g.at(id);
    if (depends.has(id)) {
      forward.push(node);
    } else if (node.inputs.some((input) => depends.has(input.id))) {
      depends.add(id);
      forward.push(node);
    }
  }
  const adjoint = new Map<number, Value>();
  const contribute = (to: Value, grad: Value): void => {
    const before = adjoint.get(to.id);
    adjoint.set(to.id, before === undefined ? grad : g.add(before, grad));
  };
  const slices = new Map<number, Piece[]>();
  const adjointOf = (value: Value): Value | undefined => {
    const pieces = slices.get(value.id);
    slices.delete(value.id);
    for (const whole of pieces === undefined ? [] : joined(g, value, pieces)) contribute(value, whole);
    return adjoint.get(value.id);
  };
  const targets = new Set(wrt.map((value) => value.id));
  const recomputation = new Recomputation(g, checkpoints);
  if (depends.has(output.id)) adjoint.set(output.id, g.scalar(1));
  for (const node of forward.reverse()) {
    const grad = adjointOf(node.output);
    if (grad === undefined) continue;
    if (!node.inputs.some((input) => depends.has(input.id))) continue;
    if (!targets.has(node.output.id)) adjoint.delete(node.output.id);
    if (node.op.kind === "slice") {
      const { id } = node.inputs[0] as Value;
      slices.set(id, [...(slices.get(id) ?? []), { axis: node.op.axis, start: node.op.start, grad }]);
      continue;
    }
    backward(g, recomputation.node(node, grad), grad, (position, make) => {
      const input = node.inputs[position] as Value;
      if (depends.has(input.id)) contribute(input, make());
    });
  }
  return wrt.map((value) => adjointOf(value) ?? g.zeros(value.shape));
}

/** The gradient of one slice of a value. */
interface Piece {
  readonly axis: number;
  readonly start: number;
  readonly grad: Value;
}

/**
 * Gradients of slices as gradients of the whole value: concatenated where they do not overlap, otherwise each padded. A vector of two
 * hundred tensors would else be padded and added two hundred times (0.4 s per step of a LoRA of 135 M parameters).
 */
function joined(g: GraphBuilder, whole: Value, pieces: readonly Piece[]): Value[] {
  const axis = pieces[0]!.axis;
  const size = whole.shape[axis] as number;
  const sizeOf = ({ axis, grad }: Piece): number => grad.shape[axis] as number;
  const sorted = [...pieces].sort((a, b) => a.start - b.start);
  const apart = sorted.every((piece, i) => {
    const before = sorted[i - 1];
    return piece.axis === axis && (before === undefined || before.start + sizeOf(before) <= piece.start);
  });
  if (!apart || pieces.length === 1) {
    return pieces.map((piece) => {
      const after = (whole.shape[piece.axis] as number) - piece.start - sizeOf(piece);
      return g.pad(piece.grad, piece.axis, piece.start, after);
    });
  }
  const parts: Value[] = [];
  let at = 0;
  const fillTo = (end: number): void => {
    if (end > at) parts.push(g.zeros(whole.shape.map((dim, i) => (i === axis ? end - at : dim))));
  };
  for (const piece of sorted) {
    fillTo(piece.start);
    parts.push(piece.grad);
    at = piece.start + sizeOf(piece);
  }
  fillTo(size);
  return [g.concat(parts, axis)];
}

/** Sums a gradient over the axes along which its value was broadcast. */
function unbroadcast(g: GraphBuilder, grad: Value, shape: Shape): Value {
  if (sameShape(grad.shape, shape)) return grad;
  const extra = grad.shape.length - shape.length;
  const axes: number[] = [];
  grad.shape.forEach((dim, axis) => {
    if (axis < extra || (shape[axis - extra] === 1 && dim !== 1)) axes.push(axis);
  });
  return g.reshape(axes.length ? g.sum(grad, axes, true) : grad, shape);
}

/**
 * Splits a gradient that is a product with one factor per row. The factor is then applied after the next matrix product, whose rows
 * are as wide as those of `a`: this saves a pass over all logits, [S, V], where the loss weights its tokens.
 */
function rowFactor(g: GraphBuilder, grad: Value, a: Value): { rows: Value; factor?: Value } {
  const { op, inputs } = g.at(grad.id);
  const [rows, factor] = inputs as [Value, Value];
  const byRow = op.kind === "mul" && sameShape(rows.shape, grad.shape) && factor.shape.at(-1) === 1;
  const [from, to] = [grad.shape.at(-1), a.shape.at(-1)];
  const narrower = typeof from === "number" && typeof to === "number" && to < from;
  return byRow && narrower && factor.shape.length === 2 ? { rows, factor } : { rows: grad };
}

/** The mean over the last axis, which stays with size 1. */
function average(g: GraphBuilder, value: Value): Value {
  const last = value.shape.length - 1;
  return g.scale(g.sum(value, [last], true), 1 / (value.shape[last] as number));
}

/** Adds a gradient to an operand, if one is needed. */
type To = (position: number, make: () => Value) => void;

/** The rule of each operation: gradients of its operands from the gradient of its output. */
function backward(g: GraphBuilder, { op, inputs, output }: Node, grad: Value, to: To): void {
  const [a, b] = inputs as [Value, Value];
  const fit = (value: Value, like: Value): Value => unbroadcast(g, value, like.shape);
  switch (op.kind) {
    case "input":
    case "weight":
    case "constant":
    case "zeros":
    case "step":
    case "slice": // collected by `gradients` and concatenated
      return;
    case "add":
      to(0, () => fit(grad, a));
      to(1, () => fit(grad, b));
      return;
    case "sub":
      to(0, () => fit(grad, a));
      to(1, () => fit(g.neg(grad), b));
      return;
    case "mul":
      if (a === b) {
        to(0, () => g.mul(g.scale(grad, 2), a));
        return;
      }
      to(0, () => fit(g.mul(grad, b), a));
      to(1, () => fit(g.mul(grad, a), b));
      return;
    case "div":
      to(0, () => fit(g.div(grad, b), a));
      to(1, () => fit(g.neg(g.div(g.mul(grad, output), b)), b));
      return;
    case "minimum": {
      const second = g.step(g.sub(a, b)); // 1 where b is strictly smaller
      to(0, () => fit(g.sub(grad, g.mul(grad, second)), a));
      to(1, () => fit(g.mul(grad, second), b));
      return;
    }
    case "neg":
      to(0, () => g.neg(grad));
      return;
    case "exp":
      to(0, () => g.mul(grad, output));
      return;
    case "log":
      to(0, () => g.div(grad, a));
      return;
    case "sqrt":
      to(0, () => g.div(g.scale(grad, 0.5), output));
      return;
    case "reciprocal":
      to(0, () => g.neg(g.mul(grad, g.square(output))));
      return;
    case "sigmoid":
      to(0, () => g.mul(grad, g.sub(output, g.square(output))));
      return;
    case "tanh":
      to(0, () => g.sub(grad, g.mul(grad, g.square(output))));
      return;
    case "erf":
      to(0, () => g.mul(g.scale(grad, 2 / Math.sqrt(Math.PI)), g.exp(g.neg(g.square(a)))));
      return;
    case "relu":
      to(0, () => g.mul(grad, g.step(a)));
      return;
    case "silu":
      // y' = s + y (1 - s) with s = sigmoid(x): four passes over the array.
      to(0, () => {
        const passed = g.mul(grad, g.sigmoid(a));
        return g.add(passed, g.mul(g.sub(grad, passed), output));
      });
      return;
    case "gelu":
      // y' = Phi(x) + x phi(x).
      to(0, () => {
        const below = g.add(g.scale(g.erf(g.scale(a, Math.SQRT1_2)), 0.5), g.scalar(0.5));
        const density = g.scale(g.exp(g.scale(g.square(a), -0.5)), 1 / Math.sqrt(2 * Math.PI));
        return g.mul(grad, g.add(below, g.mul(a, density)));
      });
      return;
    case "geluTanh":
      // With s = sigmoid(2 u), that is (1 + tanh(u)) / 2 for u = sqrt(2 / pi) (x + 0.044715 x^3): y = x s and y' = s + y (1 - s) 2 u'.
      to(0, () => {
        const slope = Math.sqrt(8 / Math.PI);
        const square = g.square(a);
        const s = g.sigmoid(g.mul(a, g.add(g.scale(square, 0.044715 * slope), g.scalar(slope))));
        const rise = g.add(g.scale(square, 3 * 0.044715 * slope), g.scalar(slope));
        return g.mul(grad, g.add(s, g.mul(g.sub(output, g.mul(output, s)), rise)));
      });
      return;
    case "rmsNorm": {
      const inverse = g.inverseRms(a, op.eps);
      to(0, () => {
        const scaled = g.mul(grad, b);
        const projected = average(g, g.mul(scaled, a));
        return g.mul(inverse, g.sub(scaled, g.mul(a, g.mul(g.square(inverse), projected))));
      });
      to(1, () => fit(g.mul(g.mul(grad, a), inverse), b));
      return;
    }
    case "inverseRms":
      to(0, () => {
        const cube = g.mul(g.square(output), output);
        return g.mul(a, g.mul(grad, g.scale(cube, -1 / (a.shape.at(-1) as number))));
      });
      return;
    case "layerNorm": {
      const bias = inputs[2] as Value;
      const inverse = g.inverseStd(a, op.eps);
      to(0, () => {
        const mean = (value: Value): Value => average(g, value);
        const scaled = g.mul(grad, b);
        const centred = g.sub(a, mean(a));
        const projected = g.mul(g.square(inverse), mean(g.mul(scaled, centred)));
        return g.mul(inverse, g.sub(g.sub(scaled, mean(scaled)), g.mul(centred, projected)));
      });
      to(1, () => fit(g.mul(g.mul(grad, g.sub(a, average(g, a))), inverse), b));
      to(2, () => fit(grad, bias));
      return;
    }
    case "inverseStd":
      to(0, () => {
        const cube = g.mul(g.square(output), output);
        return g.mul(g.sub(a, average(g, a)), g.mul(grad, g.scale(cube, -1 / (a.shape.at(-1) as number))));
      });
      return;
    case "rotary":
      // The transpose of a rotation is the inverse rotation.
      to(0, () => g.rotary(grad, b, g.neg(inputs[2] as Value), op));
      return;
    case "matmul": {
      const { transA, transB, scale } = op;
      to(0, () => {
        if (transA) return fit(g.matmul(b, grad, { transA: transB, transB: true, scale }), a);
        const { rows, factor } = rowFactor(g, grad, a);
        const product = g.matmul(rows, b, { transB: !transB, scale });
        return fit(factor === undefined ? product : g.mul(product, factor), a);
      });
      to(1, () =>
        fit(
          transB
            ? g.matmul(grad, a, { transA: true, transB: transA, scale })
            : g.matmul(a, grad, { transA: !transA, scale }),
          b,
        ),
      );
      return;
    }
    case "after":
      to(0, () => grad);
      return;
    case "reshape":
      to(0, () => g.reshape(grad, a.shape));
      return;
    case "expand":
      to(0, () => fit(grad, a));
      return;
    case "transpose": {
      const inverse = op.perm.map((_, axis) => op.perm.indexOf(axis));
      to(0, () => g.transpose(grad, inverse));
      return;
    }
    case "sum":
      to(0, () => {
        const kept = a.shape.map((dim, axis): Dim => (op.axes.includes(axis) ? 1 : dim));
        return g.expand(g.reshape(grad, kept), a.shape);
      });
      return;
    case "softmax":
      to(0, () => {
        const weighted = g.mul(grad, output);
        return g.sub(weighted, g.mul(output, g.sum(weighted, [a.shape.length - 1], true)));
      });
      return;
    case "logSumExp":
      to(0, () => g.mul(g.softmax(a), grad));
      return;
    case "gather":
      to(0, () => {
        const { axis } = op;
        // Rows to add at each index: move the gathered axes to the front, add, and move the axis back.
        const rank = b.shape.length;
        const front = grad.shape.map((_, at) => at).filter((at) => at >= axis && at < axis + rank);
        const rest = grad.shape.map((_, at) => at).filter((at) => at < axis || at >= axis + rank);
        const moved = axis === 0 ? grad : g.transpose(grad, [...front, ...rest]);
        const flat = g.flattenFront(moved, rank);
        const indices = g.flattenFront(b, rank);
        const added = g.scatterRows(flat, indices, a.shape[axis] as Dim);
        if (axis === 0) return added;
        const order = a.shape.map((_, at) => (at === axis ? 0 : at < axis ? at + 1 : at));
        return g.transpose(added, order);
      });
      return;
    case "scatterRows":
      to(0, () => g.gather(grad, b, 0));
      return;
    case "pick":
      to(0, () => g.place(grad, b, a.shape[1] as Dim));
      return;
    case "place":
      to(0, () => g.pick(grad, b));
      return;
    case "fill":
      to(0, () => g.fill(grad, b, 0));
      return;
    case "pad":
      to(0, () => g.slice(grad, op.axis, op.before, a.shape[op.axis] as number));
      return;
    case "concat": {
      let start = 0;
      inputs.forEach((part, position) => {
        const from = start;
        const size = part.shape[op.axis] as number;
        to(position, () => g.slice(grad, op.axis, from, size));
        start += size;
      });
      return;
    }
  }
}
