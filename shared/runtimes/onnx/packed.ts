/**
 * Products with packed weights (shared/quantization) as ONNX nodes. ONNX Runtime has operations for x W^T with int4 and NF4. In all
 * other cases, the weight is dequantised to float32 for one product.
 *
 * ONNX Runtime runs nodes without inputs first: it would dequantise all weights before any other work. So all nodes on a packed weight
 * wait for the product's other factor, x. This also prevents forward and backward from sharing a dequantised weight, which would live
 * from one to the other.
 */
import { sizeOf } from "../../base/tensors.js";
import type { Op, WeightSource } from "../../graph/graph.js";
import { INT4_ZERO } from "../../quantization/int4.js";
import {
  bitsOf,
  INT4_BLOCK,
  int4Layout,
  isInt4,
  MAGNITUDE_GROUP,
  NORMAL_FLOAT_BLOCK,
  normalFloatLayout,
  type PackedForm,
  type Part,
} from "../../quantization/layout.js";
import { DYNAMIC_TABLE, NORMAL_FLOAT_TABLES, type NormalFloat } from "../../quantization/normal-float.js";
import { intAttribute } from "./attributes.js";
import { type AttributeMessage, DATA_TYPE } from "./schema.js";

const MICROSOFT = "com.microsoft";

/** The writer of the model. Each function returns the name of a tensor. */
export interface Emitter {
  /** A node; equal nodes are written once. */
  emit(type: string, input: readonly string[], attribute?: AttributeMessage[], domain?: string): string;
  ints(values: readonly number[]): string;
  /** Declares a tensor's shape, where ONNX Runtime cannot infer it. */
  declare(name: string, dims: readonly number[], type: number): string;
  /** A part of the weight's file. */
  external(source: WeightSource, dims: readonly number[], type: number, part: Part): string;
  /** A constant in the model. */
  held(dims: readonly number[], type: number, raw: Uint8Array): string;
}

export interface PackedWeight {
  readonly source: WeightSource;
  readonly form: PackedForm;
  /** [out, in] */
  readonly shape: readonly [number, number];
}

/** x W^T with `transB`, otherwise x W. @param x name of a tensor [rows, in], or [rows, out] without `transB` */
export function packedProduct(
  e: Emitter,
  x: string,
  weight: PackedWeight,
  { transA, transB, scale }: Extract<Op, { kind: "matmul" }>,
): string {
  if (transA || scale !== 1) throw new Error("a packed weight permits neither transA nor scale");
  const parts = new Parts(e, x, weight.source);
  return isInt4(weight.form)
    ? int4Product(parts, weight.form, weight.shape, transB)
    : normalFloatProduct(parts, weight.form, weight.shape, transB);
}

/** The parts of one packed weight, for a product with x. */
class Parts {
  /** The vector [0], computed from x. */
  private readonly zero: string;

  constructor(
    readonly e: Emitter,
    readonly x: string,
    private readonly source: WeightSource,
  ) {
    const rows = e.emit("Shape", [x], [intAttribute("start", 0), intAttribute("end", 1)]);
    this.zero = e.emit("Mul", [rows, e.ints([0])]);
  }

  /** A part of the file. */
  at(part: Part, dims: readonly number[], type: number): string {
    const { offset } = this.source;
    return this.e.external(this.source, dims, type, { ...part, offset: offset + part.offset });
  }

  /** A part of another type, computed after x. */
  late(part: Part, dims: readonly number[], type: number, as: number): string {
    const shape = this.e.emit("Add", [this.e.ints(dims), this.zero]);
    // Flat, as in forward products: a part that has one shape everywhere is mapped once.
    const flat = this.at(part, [sizeOf(dims)], type);
    const shaped = this.e.declare(this.e.emit("Reshape", [flat, shape]), dims, type);
    return this.e.declare(this.e.emit("Cast", [shaped], [intAttribute("to", as)]), dims, as);
  }
}

const { uint8, uint4, int32, float16, float32 } = DATA_TYPE;

function int4Product(
  parts: Parts,
  form: "int4" | "int4-min",
  [out, width]: readonly [number, number],
  transB: boolean,
): string {
  const { e, x } = parts;
  const layout = int4Layout(form, [out, width]);
  const blocks = width / INT4_BLOCK;
  const scales = parts.late(layout.scales, [out, blocks], float16, float32);
  const minima = layout.minima && parts.late(layout.minima, [out, blocks], float16, float32);
  if (transB) {
    const codes = parts.at(layout.codes, [out, blocks, INT4_BLOCK / 2], uint8);
    const zeros = new Uint8Array(out * Math.ceil(blocks / 2));
    const attributes = { K: width, N: out, bits: 4, block_size: INT4_BLOCK };
    const product = e.emit(
      "MatMulNBits",
      // Without zero points, the zero point is 8.
      [x, codes, scales, ...(minima === undefined ? [] : [e.held([out, Math.ceil(blocks / 2)], uint8, zeros)])],
      Object.entries(attributes).map(([name, value]) => intAttribute(name, value)),
      MICROSOFT,
    );
    if (minima === undefined) return product;
    // The contribution of the minima: a block's minimum times the sum of its inputs.
    const blocked = e.emit("Reshape", [x, e.ints([-1, blocks, INT4_BLOCK])]);
    const sums = e.emit("ReduceSum", [blocked, e.ints([2])], [intAttribute("keepdims", 0)]);
    return e.emit("Gemm", [sums, minima, product], [intAttribute("transB", 1)]);
  }
  const eights = new Uint8Array(Math.ceil((out * blocks) / 2)).fill(INT4_ZERO * 17);
  const dequantised = e.emit(
    "DequantizeLinear",
    [
      parts.at(layout.codes, [out, width], uint4),
      scales,
      ...(minima === undefined ? [e.held([out, blocks], uint4, eights)] : []),
    ],
    [intAttribute("axis", 1), intAttribute("block_size", INT4_BLOCK)],
  );
  if (minima === undefined) return e.emit("Gemm", [x, dequantised]);
  const shares = e.emit("Reshape", [e.emit("Gemm", [x, minima]), e.ints([-1, blocks, 1])]);
  const repeated = e.emit("Expand", [shares, e.ints([1, 1, INT4_BLOCK])]);
  return e.emit("Gemm", [x, dequantised, e.emit("Reshape", [repeated, e.ints([-1, width])])]);
}

function normalFloatProduct(
  parts: Parts,
  form: NormalFloat,
  [out, width]: readonly [number, number],
  transB: boolean,
): string {
  const { e, x } = parts;
  const layout = normalFloatLayout(form, [out, width]);
  const blocks = (out * width) / NORMAL_FLOAT_BLOCK;
  const groups = Math.ceil(blocks / MAGNITUDE_GROUP);
  const table = (dims: readonly number[], values: Float32Array): string =>
    e.held(dims, float32, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

  const coded = parts.late(layout.magnitudes, [groups, MAGNITUDE_GROUP], uint8, int32);
  const scaledMagnitudes = e.emit("Gather", [table([DYNAMIC_TABLE.length], DYNAMIC_TABLE), coded]);
  const ranged = e.emit("Mul", [scaledMagnitudes, parts.at(layout.ranges, [groups, 1], float32)]);
  const grouped = e.emit("Add", [ranged, parts.at(layout.mean, [1], float32)]);
  /** The blocks' magnitudes in a given shape. */
  const magnitudes = (dims: readonly number[]): string => {
    const all = e.emit("Reshape", [grouped, e.ints([-1, ...dims.slice(1)])]);
    if (blocks === groups * MAGNITUDE_GROUP) return all;
    return e.emit("Slice", [all, e.ints([0]), e.ints([blocks]), e.ints([0])]);
  };
  if (form === "nf4" && transB) {
    const attributes = { K: width, N: out, block_size: NORMAL_FLOAT_BLOCK, quant_type: 1 };
    return e.emit(
      "MatMulBnb4",
      [x, parts.at(layout.codes, [layout.codes.byteLength], uint8), magnitudes([blocks])],
      Object.entries(attributes).map(([name, value]) => intAttribute(name, value)),
      MICROSOFT,
    );
  }
  // Several codes at once: one entry of a table holds all their values.
  const entries = codeValuesTable(form);
  const perIndex = form === "nf4" ? 2 : 4;
  const perBlock = NORMAL_FLOAT_BLOCK / perIndex;
  const index =
    form === "nf3"
      ? e.emit("Reshape", [quads(parts, layout.codes), e.ints([blocks, perBlock])])
      : parts.late(layout.codes, [blocks, perBlock], uint8, int32);
  const values = e.emit("Gather", [table([entries.length / perIndex, perIndex], entries), index]);
  const scaled = e.emit("Mul", [values, magnitudes([blocks, 1, 1])]);
  const dequantised = e.emit("Reshape", [scaled, e.ints([out, width])]);
  return e.emit("Gemm", [x, dequantised], [intAttribute("transB", Number(transB))]);
}

/** NF3's codes as numbers of 12 bits with four codes each; three bytes hold two numbers. */
function quads(parts: Parts, codes: Part): string {
  const { e } = parts;
  const whole = (value: number): string => e.held([], int32, new Uint8Array(Int32Array.of(value).buffer));
  const bytes = parts.late(codes, [codes.byteLength / 3, 3], uint8, int32);
  const byte = (i: number): string => e.emit("Slice", [bytes, e.ints([i]), e.ints([i + 1]), e.ints([1])]);
  const middle = byte(1);
  const low = e.emit("Add", [byte(0), e.emit("Mul", [e.emit("Mod", [middle, whole(16)]), whole(256)])]);
  const high = e.emit("Add", [e.emit("Div", [middle, whole(16)]), e.emit("Mul", [byte(2), whole(16)])]);
  return e.emit("Concat", [low, high], [intAttribute("axis", 1)]);
}

/** For every index, the values of all codes that it contains. */
function codeValuesTable(form: NormalFloat): Float32Array {
  const table = NORMAL_FLOAT_TABLES[form];
  if (form === "nf4")
    return Float32Array.from({ length: 512 }, (_, i) => table[(i & 1) === 0 ? i >> 5 : (i >> 1) & 15]!);
  const bits = bitsOf(form);
  return Float32Array.from(
    { length: 4 << (4 * bits) },
    (_, i) => table[((i >> 2) >> (bits * (i & 3))) & ((1 << bits) - 1)]!,
  );
}
