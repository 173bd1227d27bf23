/**
 * Products with packed weights (shared/quantization) as ONNX nodes. int4 and NF4 have operations of ONNX Runtime's own for
 * x W^T; all else spreads the weight to float32 first, which lives for the one product that follows.
 *
 * ONNX Runtime runs nodes that wait for nothing first: all weights would be spread before anything else is done. So whatever is
 * made of a packed weight waits for the product's other factor, x. That also keeps forward and backward from sharing a spread
 * weight, which would live from one to the other.
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

/** What the encoder offers. Each returns the name of a tensor. */
export interface Emitter {
  /** A node, one for all that ask for the same. */
  emit(type: string, input: readonly string[], attribute?: AttributeMessage[], domain?: string): string;
  ints(values: readonly number[]): string;
  /** Says what a tensor's shape is, where ONNX Runtime cannot know it. */
  declare(name: string, dims: readonly number[], type: number): string;
  /** A tensor in the weight's file. */
  external(source: WeightSource, dims: readonly number[], type: number, part: Part): string;
  /** A tensor in the model itself. */
  held(dims: readonly number[], type: number, raw: Uint8Array): string;
}

export interface PackedWeight {
  readonly source: WeightSource;
  readonly form: PackedForm;
  /** [out, in] */
  readonly shape: readonly [number, number];
}

/** x W^T with `transB`, else x W. @param x name of [rows, in], or [rows, out] */
export function packedProduct(
  e: Emitter,
  x: string,
  weight: PackedWeight,
  { transA, transB, scale }: Extract<Op, { kind: "matmul" }>,
): string {
  if (transA || scale !== 1) throw new Error("a packed weight takes its factor as it is");
  const parts = new Parts(e, x, weight.source);
  return isInt4(weight.form)
    ? int4Product(parts, weight.form, weight.shape, transB)
    : normalFloatProduct(parts, weight.form, weight.shape, transB);
}

/** The parts of one packed weight, for a product with x. */
class Parts {
  /** [0], known when x is. */
  private readonly zero: string;

  constructor(
    readonly e: Emitter,
    readonly x: string,
    private readonly source: WeightSource,
  ) {
    const rows = e.emit("Shape", [x], [intAttribute("start", 0), intAttribute("end", 1)]);
    this.zero = e.emit("Mul", [rows, e.ints([0])]);
  }

  /** A part as it lies in the file. */
  at(part: Part, dims: readonly number[], type: number): string {
    const { offset } = this.source;
    return this.e.external(this.source, dims, type, { ...part, offset: offset + part.offset });
  }

  /** A part that is there when x is, as another type. */
  late(part: Part, dims: readonly number[], type: number, as: number): string {
    const shape = this.e.emit("Add", [this.e.ints(dims), this.zero]);
    // Flat, as forward products take the codes: in one shape alone a part is mapped once.
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
      // Without zero points: 8.
      [x, codes, scales, ...(minima === undefined ? [] : [e.held([out, Math.ceil(blocks / 2)], uint8, zeros)])],
      Object.entries(attributes).map(([name, value]) => intAttribute(name, value)),
      MICROSOFT,
    );
    if (minima === undefined) return product;
    // The minima's share: a block's minimum times the sum of its inputs.
    const blocked = e.emit("Reshape", [x, e.ints([-1, blocks, INT4_BLOCK])]);
    const sums = e.emit("ReduceSum", [blocked, e.ints([2])], [intAttribute("keepdims", 0)]);
    return e.emit("Gemm", [sums, minima, product], [intAttribute("transB", 1)]);
  }
  const eights = new Uint8Array(Math.ceil((out * blocks) / 2)).fill(INT4_ZERO * 17);
  const spread = e.emit(
    "DequantizeLinear",
    [
      parts.at(layout.codes, [out, width], uint4),
      scales,
      ...(minima === undefined ? [e.held([out, blocks], uint4, eights)] : []),
    ],
    [intAttribute("axis", 1), intAttribute("block_size", INT4_BLOCK)],
  );
  if (minima === undefined) return e.emit("Gemm", [x, spread]);
  const shares = e.emit("Reshape", [e.emit("Gemm", [x, minima]), e.ints([-1, blocks, 1])]);
  const repeated = e.emit("Expand", [shares, e.ints([1, 1, INT4_BLOCK])]);
  return e.emit("Gemm", [x, spread, e.emit("Reshape", [repeated, e.ints([-1, width])])]);
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
  const looked = e.emit("Gather", [table([DYNAMIC_TABLE.length], DYNAMIC_TABLE), coded]);
  const ranged = e.emit("Mul", [looked, parts.at(layout.ranges, [groups, 1], float32)]);
  const grouped = e.emit("Add", [ranged, parts.at(layout.mean, [1], float32)]);
  /** The blocks' magnitudes in some shape. */
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
  // Several codes at a time: one entry of a table holds all their values.
  const entries = spreadTable(form);
  const perIndex = form === "nf4" ? 2 : 4;
  const perBlock = NORMAL_FLOAT_BLOCK / perIndex;
  const index =
    form === "nf3"
      ? e.emit("Reshape", [quads(parts, layout.codes), e.ints([blocks, perBlock])])
      : parts.late(layout.codes, [blocks, perBlock], uint8, int32);
  const values = e.emit("Gather", [table([entries.length / perIndex, perIndex], entries), index]);
  const scaled = e.emit("Mul", [values, magnitudes([blocks, 1, 1])]);
  const spread = e.emit("Reshape", [scaled, e.ints([out, width])]);
  return e.emit("Gemm", [x, spread], [intAttribute("transB", Number(transB))]);
}

/** NF3's codes as numbers of 12 bits, four codes each: three bytes hold two of them. */
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

/** The values of all codes that one index stands for, for every index. */
function spreadTable(form: NormalFloat): Float32Array {
  const table = NORMAL_FLOAT_TABLES[form];
  if (form === "nf4")
    return Float32Array.from({ length: 512 }, (_, i) => table[(i & 1) === 0 ? i >> 5 : (i >> 1) & 15]!);
  const bits = bitsOf(form);
  return Float32Array.from(
    { length: 4 << (4 * bits) },
    (_, i) => table[((i >> 2) >> (bits * (i & 3))) & ((1 << bits) - 1)]!,
  );
}
