/**
 * A typed graph of tensor operations with shape inference. It knows no runtime and no language model: a runtime executes the nodes,
 * `gradients` derives a backward pass of the same operations, `flops` counts them.
 *
 * A `GraphBuilder` appends nodes in topological order. `build` names the outputs and drops nodes that no output needs.
 */
import { KindredError } from "../base/errors.js";
import { fitsBlocks } from "../quantization/layout.js";
import { broadcast, type Dim, product, quotient, type Shape, sameShape } from "./dims.js";
import type { DType, Graph, Node, Op, UnaryKind, Value, WeightSource } from "./nodes.js";

export type { DType, Graph, Node, Op, OpKind, Value, WeightSource } from "./nodes.js";

export class GraphBuilder {
  private readonly nodes: Node[] = [];
  private readonly named = new Set<string>();

  /** Appends any operation; its shape is not checked. For transformations of whole graphs. */
  push(op: Op, inputs: readonly Value[], shape: Shape, dtype: DType = "float32"): Value {
    const output: Value = { id: this.nodes.length, dtype, shape };
    this.nodes.push({ op, inputs, output });
    return output;
  }

  /** The node with an id: ids count from 0 in the order of building. */
  at(id: number): Node {
    const node = this.nodes[id];
    if (node === undefined) throw new KindredError("internal", `no node ${id}`);
    return node;
  }

  /** A tensor that each run feeds. The feed's shape binds the symbols of `shape`. */
  input(name: string, shape: Shape, dtype: DType = "float32"): Value {
    if (this.named.has(name)) throw new KindredError("internal", `two inputs are called ${name}`);
    this.named.add(name);
    return this.push({ kind: "input", name }, [], shape, dtype);
  }

  /** A frozen tensor that stays in its file. A packed tensor can only be the second factor of a matrix product. */
  weight(name: string, shape: readonly number[], source: WeightSource): Value {
    if (source.form !== undefined && !fitsBlocks(source.form, shape)) {
      throw new KindredError(
        "shape_mismatch",
        `${name}: [${shape.join(", ")}] is not a number of whole blocks of ${source.form}`,
      );
    }
    return this.push({ kind: "weight", name, source }, [], shape);
  }

  /** A constant tensor. */
  constant(data: Float32Array | Int32Array, shape: readonly number[]): Value {
    const size = shape.reduce((n, dim) => n * dim, 1);
    if (size !== data.length) {
      throw new KindredError("shape_mismatch", `constant of ${data.length} numbers has shape [${shape.join(", ")}]`);
    }
    return this.push({ kind: "constant", data }, [], shape, data instanceof Int32Array ? "int32" : "float32");
  }

  scalar(value: number): Value {
    return this.constant(Float32Array.of(value), []);
  }

  zeros(shape: Shape): Value {
    return this.push({ kind: "zeros" }, [], shape);
  }

  add(a: Value, b: Value): Value {
    return this.binary("add", a, b);
  }
  sub(a: Value, b: Value): Value {
    return this.binary("sub", a, b);
  }
  mul(a: Value, b: Value): Value {
    return this.binary("mul", a, b);
  }
  div(a: Value, b: Value): Value {
    return this.binary("div", a, b);
  }
  /** The smaller of both. Where they are equal, the gradient goes to `a`. */
  minimum(a: Value, b: Value): Value {
    return this.binary("minimum", a, b);
  }
  scale(a: Value, factor: number): Value {
    return factor === 1 ? a : this.mul(a, this.scalar(factor));
  }

  private binary(kind: "add" | "sub" | "mul" | "div" | "minimum", a: Value, b: Value): Value {
    return this.push({ kind }, [a, b], broadcast(a.shape, b.shape));
  }

  private unary(kind: UnaryKind, a: Value): Value {
    return this.push({ kind }, [a], a.shape);
  }
  neg(a: Value): Value {
    return this.unary("neg", a);
  }
  exp(a: Value): Value {
    return this.unary("exp", a);
  }
  log(a: Value): Value {
    return this.unary("log", a);
  }
  sqrt(a: Value): Value {
    return this.unary("sqrt", a);
  }
  reciprocal(a: Value): Value {
    return this.unary("reciprocal", a);
  }
  sigmoid(a: Value): Value {
    return this.unary("sigmoid", a);
  }
  tanh(a: Value): Value {
    return this.unary("tanh", a);
  }
  /** The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x. */
  erf(a: Value): Value {
    return this.unary("erf", a);
  }
  relu(a: Value): Value {
    return this.unary("relu", a);
  }
  /** 1 where positive, else 0. Its gradient is zero. */
  step(a: Value): Value {
    return this.unary("step", a);
  }
  /** x * sigmoid(x) (Hendrycks and Gimpel 2016). */
  silu(a: Value): Value {
    return this.unary("silu", a);
  }

  /** x * Phi(x), Phi the standard normal's distribution function (Hendrycks and Gimpel 2016). */
  gelu(a: Value): Value {
    return this.unary("gelu", a);
  }
  /** The approximation of GELU that GPT-2 was trained with: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))). */
  geluTanh(a: Value): Value {
    return this.unary("geluTanh", a);
  }

  /** x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich 2019). @param weight [last] */
  rmsNorm(x: Value, weight: Value, eps: number): Value {
    this.checkNorm("rmsNorm", x, weight);
    return this.push({ kind: "rmsNorm", eps }, [x, weight], x.shape);
  }

  /** 1 / sqrt(mean(x^2) + eps) over the last axis, whose size becomes 1. */
  inverseRms(x: Value, eps: number): Value {
    this.checkNorm("inverseRms", x);
    return this.push({ kind: "inverseRms", eps }, [x], [...x.shape.slice(0, -1), 1]);
  }

  /** (x - mean) / sqrt(variance + eps) * weight + bias over the last axis (Ba et al. 2016). @param weight [last], as is `bias` */
  layerNorm(x: Value, weight: Value, bias: Value, eps: number): Value {
    this.checkNorm("layerNorm", x, weight, bias);
    return this.push({ kind: "layerNorm", eps }, [x, weight, bias], x.shape);
  }

  /** 1 / sqrt(variance + eps) over the last axis, whose size becomes 1. The variance divides by the count. */
  inverseStd(x: Value, eps: number): Value {
    this.checkNorm("inverseStd", x);
    return this.push({ kind: "inverseStd", eps }, [x], [...x.shape.slice(0, -1), 1]);
  }

  private checkNorm(kind: string, x: Value, ...parameters: readonly Value[]): void {
    const width = x.shape.at(-1);
    if (typeof width === "number" && parameters.every(({ shape }) => sameShape(shape, [width]))) return;
    const shown = [x, ...parameters].map(({ shape }) => `[${shape.join(", ")}]`);
    throw new KindredError("shape_mismatch", `${kind} of ${shown.join(" by ")}`);
  }

  /**
   * Rotary position embedding (Su et al. 2021) of concatenated heads. In each head's first 2 n dimensions, with n the width of the
   * tables, pairs [x1, x2] become [x1 cos - x2 sin, x2 cos + x1 sin]. A pair is dimensions i and i + n, or adjacent dimensions where
   * `interleaved`. The other dimensions of a head do not change.
   * @param x [B, T, heads * headDim]. @param cos [T, n], as is `sin`; no gradient reaches them
   * @param options `headDim`: width of a head. @default 2 n
   */
  rotary(
    x: Value,
    cos: Value,
    sin: Value,
    { headDim, interleaved = false }: { headDim?: number; interleaved?: boolean } = {},
  ): Value {
    const [length, half] = cos.shape;
    const width = x.shape[2];
    const dim = headDim ?? 2 * Number(half);
    if (
      x.shape.length !== 3 ||
      !sameShape(cos.shape, sin.shape) ||
      x.shape[1] !== length ||
      typeof half !== "number" ||
      typeof width !== "number" ||
      dim < 2 * half ||
      width % dim !== 0
    ) {
      throw new KindredError(
        "shape_mismatch",
        `rotary of [${x.shape.join(", ")}] by tables [${cos.shape.join(", ")}] and [${sin.shape.join(", ")}], heads of ${dim}`,
      );
    }
    return this.push({ kind: "rotary", headDim: dim, interleaved }, [x, cos, sin], x.shape);
  }

  /**
   * Matrix product over the last two axes, times `scale`; the other axes broadcast.
   * @param a [..., m, k], or [..., k, m] with transA. @param b [..., k, n], or [..., n, k] with transB
   */
  matmul(a: Value, b: Value, { transA = false, transB = false, scale = 1 } = {}): Value {
    const [am, ak] = transA ? [-1, -2] : [-2, -1];
    const [bk, bn] = transB ? [-1, -2] : [-2, -1];
    const k = a.shape.at(ak);
    if (a.shape.length < 2 || b.shape.length < 2 || k !== b.shape.at(bk)) {
      throw new KindredError(
        "shape_mismatch",
        `matmul of [${a.shape.join(", ")}]${transA ? "ᵀ" : ""} and [${b.shape.join(", ")}]${transB ? "ᵀ" : ""}`,
      );
    }
    const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return this.push({ kind: "matmul", transA, transB, scale }, [a, b], [...batch, a.shape.at(am)!, b.shape.at(bn)!]);
  }

  reshape(a: Value, shape: Shape): Value {
    if (sameShape(a.shape, shape)) return a;
    if (product(a.shape) !== product(shape)) {
      throw new KindredError("shape_mismatch", `[${a.shape.join(", ")}] cannot be reshaped to [${shape.join(", ")}]`);
    }
    return this.push({ kind: "reshape" }, [a], shape, a.dtype);
  }

  /**
   * x itself, but not before `other` (of one axis or more) is computed. Values computed from the result are computed anew, even where
   * equal values were computed from x before. No gradient reaches `other`.
   */
  after(x: Value, other: Value): Value {
    if (other.shape.length === 0) throw new KindredError("shape_mismatch", "after: a scalar cannot be waited for");
    return this.push({ kind: "after" }, [x, other], x.shape, x.dtype);
  }

  /** Broadcasts to `shape`: repeats axes of size 1 and adds leading axes. */
  expand(a: Value, shape: Shape): Value {
    if (sameShape(a.shape, shape)) return a;
    if (!sameShape(broadcast(a.shape, shape), shape)) {
      throw new KindredError("shape_mismatch", `[${a.shape.join(", ")}] cannot be expanded to [${shape.join(", ")}]`);
    }
    return this.push({ kind: "expand" }, [a], shape, a.dtype);
  }

  transpose(a: Value, perm: readonly number[]): Value {
    return this.push(
      { kind: "transpose", perm },
      [a],
      perm.map((axis) => a.shape[axis] as Dim),
      a.dtype,
    );
  }

  sum(a: Value, axes: readonly number[], keep = false): Value {
    const shape: Dim[] = [];
    for (let axis = 0; axis < a.shape.length; axis++) {
      if (!axes.includes(axis)) shape.push(a.shape[axis] as Dim);
      else if (keep) shape.push(1);
    }
    return this.push({ kind: "sum", axes, keep }, [a], shape);
  }

  /** Sum over all axes, a scalar. */
  total(a: Value): Value {
    return a.shape.length === 0
      ? a
      : this.sum(
          a,
          a.shape.map((_, axis) => axis),
        );
  }

  /** Softmax over the last axis. */
  softmax(a: Value): Value {
    return this.push({ kind: "softmax" }, [a], a.shape);
  }

  /** log(sum(exp)) over the last axis, whose size becomes 1; numerically stable. */
  logSumExp(a: Value): Value {
    return this.push({ kind: "logSumExp" }, [a], [...a.shape.slice(0, -1), 1]);
  }

  /** Slices of `a` along `axis` at int32 `indices`: shape a[:axis] + indices + a[axis+1:]. */
  gather(a: Value, indices: Value, axis = 0): Value {
    const shape = [...a.shape.slice(0, axis), ...indices.shape, ...a.shape.slice(axis + 1)];
    return this.push({ kind: "gather", axis }, [a, indices], shape, a.dtype);
  }

  /** [rows, ...] of zeros to which row i of `updates` [n, ...] is added at `indices[i]` [n]. */
  scatterRows(updates: Value, indices: Value, rows: Dim): Value {
    return this.push({ kind: "scatterRows" }, [updates, indices], [rows, ...updates.shape.slice(1)]);
  }

  /** out[i, j] = a[i, indices[i, j]]: a [n, m], indices [n, k]. */
  pick(a: Value, indices: Value): Value {
    return this.push({ kind: "pick" }, [a, indices], indices.shape);
  }

  /** The adjoint of `pick`: [n, m] zeros with values[i, j] added at [i, indices[i, j]]. */
  place(values: Value, indices: Value, columns: Dim): Value {
    return this.push({ kind: "place" }, [values, indices], [values.shape[0] as Dim, columns]);
  }

  /** A copy of a [n, m] where positions [i, indices[i, j]] hold `value`. */
  fill(a: Value, indices: Value, value: number): Value {
    return this.push({ kind: "fill", value }, [a, indices], a.shape);
  }

  slice(a: Value, axis: number, start: number, size: number): Value {
    const shape = a.shape.map((dim, at) => (at === axis ? size : dim));
    const whole = a.shape[axis];
    if (typeof whole !== "number" || start < 0 || start + size > whole) {
      throw new KindredError(
        "shape_mismatch",
        `slice ${start}..${start + size} of axis ${axis} of [${a.shape.join(", ")}]`,
      );
    }
    if (size === whole) return a;
    return this.push({ kind: "slice", axis, start, size }, [a], shape, a.dtype);
  }

  /** Zeros before and after along one axis. */
  pad(a: Value, axis: number, before: number, after: number): Value {
    if (before === 0 && after === 0) return a;
    const whole = a.shape[axis];
    if (typeof whole !== "number") throw new KindredError("shape_mismatch", `pad of symbolic axis ${axis}`);
    const shape = a.shape.map((dim, at) => (at === axis ? whole + before + after : dim));
    return this.push({ kind: "pad", axis, before, after }, [a], shape);
  }

  /** Concatenates along an axis. @param total the result's size where the parts' sizes are symbolic: a sum of symbols is no `Dim` */
  concat(parts: readonly Value[], axis: number, total?: Dim): Value {
    if (parts.length === 1) return parts[0] as Value;
    const sizes = parts.map((part) => part.shape[axis]);
    if (total === undefined && !sizes.every((size) => typeof size === "number")) {
      throw new KindredError("shape_mismatch", `concat along symbolic axis ${axis}`);
    }
    const whole = total ?? (sizes as number[]).reduce((sum, size) => sum + size, 0);
    const shape = parts[0]!.shape.map((dim, at) => (at === axis ? whole : dim));
    return this.push({ kind: "concat", axis }, parts, shape);
  }

  // Compositions that several models share.

  square(a: Value): Value {
    return this.mul(a, a);
  }

  /** Merges leading axes: [..., n] -> [product, n]. */
  rows(a: Value): Value {
    return this.reshape(a, [product(a.shape.slice(0, -1)), a.shape.at(-1)!]);
  }

  /** Merges the first `count` axes into one. */
  flattenFront(a: Value, count: number): Value {
    return this.reshape(a, [product(a.shape.slice(0, count)), ...a.shape.slice(count)]);
  }

  /** Splits axis 0 into [count, rest]. */
  splitRows(a: Value, count: Dim): Value {
    return this.reshape(a, [count, quotient(a.shape[0] as Dim, count), ...a.shape.slice(1)]);
  }

  /**
   * The graph of the named outputs, with the nodes that they need. Nodes are ordered output by output, each node's inputs in the order
   * of building, and each node as late as possible. In this order values have short lives: all gradients of a layer's weights are
   * computed before those of the layer below it.
   */
  build(outputs: Readonly<Record<string, Value>>): Graph {
    const nodes: Node[] = [];
    const seen = new Set<number>();
    const stack: (Node | { readonly done: Node })[] = [];
    for (const { id } of Object.values(outputs)) {
      stack.push(this.at(id));
      for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
        if ("done" in top) {
          nodes.push(top.done);
        } else if (!seen.has(top.output.id)) {
          seen.add(top.output.id);
          stack.push({ done: top });
          const latestFirst = top.inputs.map((input) => input.id).sort((a, b) => b - a);
          for (const input of latestFirst) if (!seen.has(input)) stack.push(this.at(input));
        }
      }
    }
    const inputs: Record<string, Value> = {};
    for (const node of nodes) if (node.op.kind === "input") inputs[node.op.name] = node.output;
    return { nodes, inputs, outputs };
  }
}
