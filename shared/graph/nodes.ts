/** The types of a graph: operations, nodes, values, and the location of frozen weights. */
import type { PackedForm } from "../quantization/layout.js";
import type { Shape } from "./dims.js";

/** Indices are int32, all other values float32. */
export type DType = "float32" | "int32";

export interface Value {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Location of a frozen weight: raw little-endian float32, row-major; or a quantised matrix. */
export interface WeightSource {
  /** Absolute path. */
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** Packed format (shared/quantization); absent for float32. */
  readonly form?: PackedForm;
}

/** The operation of a node. Axes count from 0; the leading axes of `matmul` are batch axes. */
export type Op =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "weight"; readonly name: string; readonly source: WeightSource }
  | { readonly kind: "constant"; readonly data: Float32Array | Int32Array }
  | { readonly kind: "zeros" }
  | { readonly kind: "add" | "sub" | "mul" | "div" | "minimum" }
  | { readonly kind: UnaryKind }
  | { readonly kind: "matmul"; readonly transA: boolean; readonly transB: boolean; readonly scale: number }
  | { readonly kind: "rmsNorm"; readonly eps: number }
  | { readonly kind: "inverseRms"; readonly eps: number }
  | { readonly kind: "layerNorm"; readonly eps: number }
  | { readonly kind: "inverseStd"; readonly eps: number }
  | { readonly kind: "rotary"; readonly headDim: number; readonly interleaved: boolean }
  | { readonly kind: "reshape" }
  | { readonly kind: "after" }
  | { readonly kind: "expand" }
  | { readonly kind: "transpose"; readonly perm: readonly number[] }
  | { readonly kind: "sum"; readonly axes: readonly number[]; readonly keep: boolean }
  | { readonly kind: "softmax" }
  | { readonly kind: "logSumExp" }
  | { readonly kind: "gather"; readonly axis: number }
  | { readonly kind: "scatterRows" }
  | { readonly kind: "pick" }
  | { readonly kind: "place" }
  | { readonly kind: "fill"; readonly value: number }
  | { readonly kind: "slice"; readonly axis: number; readonly start: number; readonly size: number }
  | { readonly kind: "pad"; readonly axis: number; readonly before: number; readonly after: number }
  | { readonly kind: "concat"; readonly axis: number };

export type OpKind = Op["kind"];

/** Operations on each element. */
export type UnaryKind =
  | "neg"
  | "exp"
  | "log"
  | "sqrt"
  | "reciprocal"
  | "sigmoid"
  | "tanh"
  | "erf"
  | "relu"
  | "step"
  | "silu"
  | "gelu"
  | "geluTanh";

export interface Node {
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly output: Value;
}

/** A finished graph: nodes in topological order, each needed by an output. */
export interface Graph {
  readonly nodes: readonly Node[];
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
}
