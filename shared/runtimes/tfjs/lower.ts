/**
 * Computes one node of a graph with operations of TensorFlow.js. Only operations that every backend supports are used, so one lowering
 * serves all backends.
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import { sizeOf } from "../../base/tensors.js";
import type { Node, Op } from "../../graph/graph.js";
import type { Tensorflow } from "./backends.js";

/** Operations that are computed from their operands. */
export type Computed = Exclude<Op, { kind: "input" | "weight" | "constant" }>;

export class Lowering {
  /** Whether operands are transposed before a product: the wasm backend is 15 to 25 times slower where it transposes them itself. */
  readonly transposesFirst: boolean;

  constructor(private readonly tf: Tensorflow) {
    this.transposesFirst = tf.getBackend() === "wasm";
  }

  /** Computes a node. @param shape of the result. @returns a new tensor; intermediate tensors are disposed */
  apply(op: Computed, inputs: readonly Tensor[], shape: readonly number[]): Tensor {
    return this.tf.tidy(() => this.lower(op, inputs, [...shape]));
  }

  private lower(op: Computed, inputs: readonly Tensor[], shape: number[]): Tensor {
    const { tf } = this;
    const [a, b, c] = inputs as [Tensor, Tensor, Tensor];
    switch (op.kind) {
      case "zeros":
        return tf.zeros(shape);
      case "add":
        return tf.add(a, b);
      case "sub":
        return tf.sub(a, b);
      case "mul":
        return tf.mul(a, b);
      case "div":
        return tf.div(a, b);
      case "minimum":
        return tf.minimum(a, b);
      case "neg":
        return tf.neg(a);
      case "exp":
        return tf.exp(a);
      case "log":
        return tf.log(a);
      case "sqrt":
        return tf.sqrt(a);
      case "reciprocal":
        return tf.reciprocal(a);
      case "sigmoid":
        return tf.sigmoid(a);
      case "tanh":
        return tf.tanh(a);
      case "erf":
        return tf.erf(a);
      case "relu":
        return tf.relu(a);
      case "step":
        return tf.step(a);
      case "silu":
        return tf.mul(a, tf.sigmoid(a));
      case "gelu":
        return tf.mul(tf.mul(a, 0.5), tf.add(tf.erf(tf.mul(a, Math.SQRT1_2)), 1));
      case "geluTanh": {
        const inner = tf.mul(tf.add(a, tf.mul(tf.mul(tf.square(a), a), 0.044715)), Math.sqrt(2 / Math.PI));
        return tf.mul(tf.mul(a, 0.5), tf.add(tf.tanh(inner), 1));
      }
      case "layerNorm": {
        const centred = this.centred(a);
        return tf.add(tf.mul(tf.mul(centred, this.inverseRms(centred, op.eps)), b), c);
      }
      case "inverseStd":
        return this.inverseRms(this.centred(a), op.eps);
      case "rmsNorm":
        return tf.mul(tf.mul(a, this.inverseRms(a, op.eps)), b);
      case "inverseRms":
        return this.inverseRms(a, op.eps);
      case "rotary":
        return this.rotary(op, a, b, c);
      case "matmul":
        return this.matmul(op, a, b, shape);
      case "after":
        return tf.clone(a);
      case "reshape":
        return tf.reshape(a, shape);
      case "expand":
        return tf.broadcastTo(a, shape);
      case "transpose":
        return tf.transpose(a, [...op.perm]);
      case "sum":
        return op.axes.length === 0 ? tf.clone(a) : tf.sum(a, [...op.axes], op.keep);
      case "softmax":
        return tf.softmax(a);
      case "logSumExp":
        return tf.logSumExp(a, -1, true);
      case "gather":
        return tf.gather(a, b as Tensor, op.axis);
      case "scatterRows":
        return tf.scatterND(tf.expandDims(b, 1), a, shape);
      case "pick":
        return tf.reshape(tf.gather(tf.reshape(a, [-1]), this.flat(b, a.shape[1] as number)), shape);
      case "place":
        return tf.reshape(tf.scatterND(this.flat(b, shape[1] as number), tf.reshape(a, [-1]), [sizeOf(shape)]), shape);
      case "fill": {
        // Not tensorScatterUpdate: the cpu backend would write into its operand.
        const marks = tf.scatterND(this.flat(b, shape[1] as number), tf.ones([b.size]), [sizeOf(shape)]);
        return tf.where(tf.cast(tf.reshape(marks, shape), "bool"), tf.scalar(op.value), a);
      }
      case "slice":
        return tf.slice(
          a,
          a.shape.map((_, axis) => (axis === op.axis ? op.start : 0)),
          shape,
        );
      case "pad":
        return tf.pad(
          a,
          a.shape.map((_, axis): [number, number] => (axis === op.axis ? [op.before, op.after] : [0, 0])),
        );
      case "concat":
        return tf.concat([...inputs], op.axis);
    }
  }

  private inverseRms(x: Tensor, eps: number): Tensor {
    const { tf } = this;
    return tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), eps));
  }

  private centred(x: Tensor): Tensor {
    return this.tf.sub(x, this.tf.mean(x, -1, true));
  }

  private rotary(
    { headDim, interleaved }: Extract<Op, { kind: "rotary" }>,
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
  ): Tensor {
    const { tf } = this;
    const [batch, length, width] = x.shape as [number, number, number];
    const half = cos.shape[1] as number;
    const heads = tf.reshape(x, [batch, length, width / headDim, headDim]);
    const [rotating, rest] = tf.split(heads, [2 * half, headDim - 2 * half], 3) as [Tensor, Tensor];
    // The two members of a pair get an axis of their own: the last axis where they are adjacent, otherwise the axis before it.
    const axis = interleaved ? 4 : 3;
    const pairs = tf.reshape(rotating, [...heads.shape.slice(0, 3), ...(interleaved ? [half, 2] : [2, half])]);
    const [first, second] = tf.unstack(pairs, axis) as [Tensor, Tensor];
    const [c, s] = [cos, sin].map((table) => tf.reshape(table, [length, 1, half])) as [Tensor, Tensor];
    const rotated = tf.stack(
      [tf.sub(tf.mul(first, c), tf.mul(second, s)), tf.add(tf.mul(second, c), tf.mul(first, s))],
      axis,
    );
    const joined = tf.reshape(rotated, rotating.shape);
    return tf.reshape(headDim > 2 * half ? tf.concat([joined, rest], 3) : joined, x.shape);
  }

  private matmul(
    { transA, transB, scale }: Extract<Node["op"], { kind: "matmul" }>,
    a: Tensor,
    b: Tensor,
    shape: number[],
  ): Tensor {
    const { tf } = this;
    const inner = a.shape.at(-1) as number;
    const [left, right] =
      b.shape.length === 2 && a.shape.length > 2 && !transA
        ? [tf.reshape(a, [-1, inner]), b] // one product instead of one per batch element
        : this.sameBatch(a, b, shape.slice(0, -2));
    const product = this.transposesFirst
      ? tf.matMul(transA ? this.swapped(left) : left, transB ? this.swapped(right) : right)
      : tf.matMul(left, right, transA, transB);
    return tf.reshape(scale === 1 ? product : tf.mul(product, scale), shape);
  }

  /** x with its last two axes exchanged. */
  swapped(x: Tensor): Tensor {
    const rank = x.shape.length;
    return this.tf.transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
  }

  /** Both operands with equal batch axes: some backends broadcast only whole batches. */
  private sameBatch(a: Tensor, b: Tensor, batch: readonly number[]): [Tensor, Tensor] {
    const fit = (x: Tensor): Tensor => this.tf.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
    const same = a.shape.length === b.shape.length && batch.every((_, axis) => a.shape[axis] === b.shape[axis]);
    return same ? [a, b] : [fit(a), fit(b)];
  }

  /** Indices into rows of a matrix as indices [n * k, 1] into its flattened elements. @param indices int32 [n, k] */
  private flat(indices: Tensor, columns: number): Tensor {
    const { tf } = this;
    const [rows] = indices.shape as [number];
    const starts = tf.tensor2d(
      Int32Array.from({ length: rows }, (_, row) => row * columns),
      [rows, 1],
      "int32",
    );
    return tf.reshape(tf.add(indices, starts), [-1, 1]);
  }
}
