/**
 * A table of graphs that together contain every operation, for all tests of computations: the gradients' own test and the runtimes'
 * contract.
 */
import { SeededRng } from "../../shared/base/random.js";
import { sizeOf } from "../../shared/base/tensors.js";
import { bindFeeds } from "../../shared/graph/cost.js";
import { resolve, type Shape } from "../../shared/graph/dims.js";
import { gradients } from "../../shared/graph/gradients.js";
import { type Graph, GraphBuilder, type OpKind, type Value } from "../../shared/graph/graph.js";
import type { HostTensor } from "../../shared/runtimes/types.js";

export interface OpCase {
  readonly name: string;
  readonly covers: readonly OpKind[];
  readonly inputs: readonly (readonly number[])[];
  /** Declared shapes where they differ from those of the feeds (symbols). */
  readonly declared?: readonly Shape[];
  readonly range?: readonly [number, number];
  readonly build: (g: GraphBuilder, inputs: Value[]) => Value;
}

const ints = (values: readonly number[]): Int32Array => Int32Array.from(values);

export const OP_CASES: readonly OpCase[] = [
  { name: "add with broadcasting", covers: ["add"], inputs: [[2, 3], [3]], build: (g, [a, b]) => g.add(a!, b!) },
  {
    name: "sub with broadcasting",
    covers: ["sub"],
    inputs: [
      [2, 1, 3],
      [4, 1],
    ],
    build: (g, [a, b]) => g.sub(a!, b!),
  },
  {
    name: "mul with broadcasting",
    covers: ["mul"],
    inputs: [
      [2, 3],
      [2, 1],
    ],
    build: (g, [a, b]) => g.mul(a!, b!),
  },
  { name: "mul of a value with itself", covers: ["mul"], inputs: [[2, 3]], build: (g, [a]) => g.mul(a!, a!) },
  { name: "div", covers: ["div"], inputs: [[2, 3], [3]], range: [0.5, 2], build: (g, [a, b]) => g.div(a!, b!) },
  {
    name: "minimum",
    covers: ["minimum", "step"],
    inputs: [
      [4, 5],
      [4, 5],
    ],
    build: (g, [a, b]) => g.minimum(a!, b!),
  },
  {
    name: "after",
    covers: ["after"],
    inputs: [
      [2, 3],
      [4, 1],
    ],
    build: (g, [a, b]) => g.mul(g.after(a!, b!), g.exp(a!)),
  },
  { name: "neg", covers: ["neg"], inputs: [[5]], build: (g, [a]) => g.neg(a!) },
  { name: "exp", covers: ["exp"], inputs: [[5]], build: (g, [a]) => g.exp(a!) },
  { name: "log", covers: ["log"], inputs: [[5]], range: [0.5, 3], build: (g, [a]) => g.log(a!) },
  { name: "sqrt", covers: ["sqrt"], inputs: [[5]], range: [0.5, 3], build: (g, [a]) => g.sqrt(a!) },
  { name: "reciprocal", covers: ["reciprocal"], inputs: [[5]], range: [0.5, 2], build: (g, [a]) => g.reciprocal(a!) },
  { name: "sigmoid", covers: ["sigmoid"], inputs: [[5]], build: (g, [a]) => g.sigmoid(a!) },
  { name: "tanh", covers: ["tanh"], inputs: [[5]], build: (g, [a]) => g.tanh(a!) },
  { name: "erf", covers: ["erf"], inputs: [[5]], build: (g, [a]) => g.erf(a!) },
  { name: "relu away from its kink", covers: ["relu"], inputs: [[5]], range: [0.1, 2], build: (g, [a]) => g.relu(a!) },
  { name: "relu below zero", covers: ["relu"], inputs: [[5]], range: [-2, -0.1], build: (g, [a]) => g.relu(a!) },
  { name: "silu", covers: ["silu", "sigmoid"], inputs: [[3, 8]], build: (g, [a]) => g.silu(a!) },
  { name: "gelu", covers: ["gelu"], inputs: [[3, 8]], range: [-4, 4], build: (g, [a]) => g.gelu(a!) },
  { name: "geluTanh", covers: ["geluTanh"], inputs: [[3, 8]], range: [-4, 4], build: (g, [a]) => g.geluTanh(a!) },
  {
    name: "rmsNorm",
    covers: ["rmsNorm", "inverseRms"],
    inputs: [[3, 8], [8]],
    build: (g, [a, b]) => g.rmsNorm(a!, b!, 1e-5),
  },
  {
    name: "inverseRms",
    covers: ["inverseRms"],
    inputs: [[3, 8]],
    range: [0.5, 2],
    build: (g, [a]) => g.inverseRms(a!, 1e-5),
  },
  {
    name: "layerNorm",
    covers: ["layerNorm", "inverseStd"],
    inputs: [[3, 8], [8], [8]],
    build: (g, [a, b, c]) => g.layerNorm(a!, b!, c!, 1e-5),
  },
  {
    name: "inverseStd",
    covers: ["inverseStd"],
    inputs: [[3, 8]],
    build: (g, [a]) => g.inverseStd(a!, 1e-5),
  },
  ...[false, true].map(
    (interleaved): OpCase => ({
      name: `rotary of the first dimensions${interleaved ? ", neighbours" : ""}`,
      covers: ["rotary"],
      inputs: [[2, 3, 12]],
      build: (g, [a]) =>
        g.rotary(
          a!,
          g.constant(Float32Array.of(1, 1, 0.6, 0.8, -0.5, 0.2), [3, 2]),
          g.constant(Float32Array.of(0, 0, 0.8, 0.6, 0.3, -0.9), [3, 2]),
          { headDim: 6, interleaved },
        ),
    }),
  ),
  {
    name: "rotary of neighbours",
    covers: ["rotary"],
    inputs: [[2, 3, 8]],
    build: (g, [a]) =>
      g.rotary(
        a!,
        g.constant(Float32Array.of(1, 1, 0.6, 0.8, -0.5, 0.2), [3, 2]),
        g.constant(Float32Array.of(0, 0, 0.8, 0.6, 0.3, -0.9), [3, 2]),
        { interleaved: true },
      ),
  },
  {
    name: "rotary of two heads",
    covers: ["rotary"],
    inputs: [[2, 3, 8]],
    build: (g, [a]) =>
      g.rotary(
        a!,
        g.constant(Float32Array.of(1, 1, 0.6, 0.8, -0.5, 0.2), [3, 2]),
        g.constant(Float32Array.of(0, 0, 0.8, 0.6, 0.3, -0.9), [3, 2]),
      ),
  },
  {
    name: "products and placed values within sums",
    covers: ["add", "matmul", "place"],
    inputs: [[3, 4], [5, 4], [3, 5], [3, 2], [5]],
    build: (g, [a, b, c, d, e]) => {
      const indices = g.constant(ints([0, 4, 1, 1, 3, 2]), [3, 2]);
      const product = g.matmul(a!, b!, { transB: true, scale: 0.5 });
      const sum = g.add(g.add(c!, product), g.matmul(g.square(a!), b!, { transB: true }));
      return g.add(g.add(g.place(d!, indices, 5), sum), g.add(g.matmul(a!, b!, { transB: true }), e!));
    },
  },
  ...[0, 1, 2, 3].flatMap((flags): OpCase[] => {
    const transA = (flags & 1) === 1;
    const transB = (flags & 2) === 2;
    const a = transA ? [4, 3] : [3, 4];
    const b = transB ? [5, 4] : [4, 5];
    const build = (g: GraphBuilder, [x, y]: Value[]): Value => g.matmul(x!, y!, { transA, transB, scale: 0.5 });
    const name = `matmul${transA ? " transA" : ""}${transB ? " transB" : ""}`;
    return [
      { name, covers: ["matmul"], inputs: [a, b], build },
      {
        name: `batched ${name}`,
        covers: ["matmul"],
        inputs: [
          [2, 3, ...a],
          [2, 3, ...b],
        ],
        build,
      },
      {
        name: `broadcast ${name}`,
        covers: ["matmul"],
        inputs: [
          [2, ...a],
          [1, ...b],
        ],
        build,
      },
    ];
  }),
  {
    name: "reshape of symbolic axes",
    covers: ["reshape"],
    inputs: [[2, 3, 4]],
    declared: [["B", "T", 4]],
    build: (g, [a]) => g.reshape(a!, ["B*T", 2, 2]),
  },
  {
    name: "reshape that splits a symbolic product",
    covers: ["reshape"],
    inputs: [[2, 3, 4], [2]],
    declared: [["B", "T", 4], ["B"]],
    build: (g, [a, b]) => g.mul(g.reshape(g.rows(a!), ["B", "T", 4]), g.reshape(b!, ["B", 1, 1])),
  },
  {
    name: "expand to a symbolic axis",
    covers: ["expand"],
    inputs: [
      [1, 3],
      [2, 3],
    ],
    declared: [
      [1, 3],
      ["B", 3],
    ],
    build: (g, [a, b]) => g.mul(g.expand(a!, ["B", 3]), b!),
  },
  { name: "transpose", covers: ["transpose"], inputs: [[2, 3, 4]], build: (g, [a]) => g.transpose(a!, [2, 0, 1]) },
  { name: "sum", covers: ["sum"], inputs: [[2, 3, 4]], build: (g, [a]) => g.sum(a!, [0, 2]) },
  { name: "sum keeping axes", covers: ["sum"], inputs: [[2, 3, 4]], build: (g, [a]) => g.sum(a!, [1], true) },
  { name: "softmax", covers: ["softmax"], inputs: [[3, 5]], build: (g, [a]) => g.softmax(a!) },
  { name: "logSumExp", covers: ["logSumExp"], inputs: [[3, 5]], build: (g, [a]) => g.logSumExp(a!) },
  {
    name: "gather with repeated rows",
    covers: ["gather", "scatterRows"],
    inputs: [[5, 3]],
    build: (g, [a]) => g.gather(a!, g.constant(ints([1, 4, 1, 0]), [4])),
  },
  {
    name: "gather of a matrix of indices",
    covers: ["gather"],
    inputs: [[5, 3]],
    build: (g, [a]) => g.gather(a!, g.constant(ints([1, 4, 1, 0, 2, 2]), [2, 3])),
  },
  {
    name: "gather along the second axis",
    covers: ["gather"],
    inputs: [[2, 5, 3]],
    build: (g, [a]) => g.gather(a!, g.constant(ints([1, 4, 1]), [3]), 1),
  },
  {
    name: "scatterRows",
    covers: ["scatterRows", "zeros"],
    inputs: [[4, 3]],
    build: (g, [a]) => g.scatterRows(a!, g.constant(ints([1, 4, 1, 0]), [4]), 6),
  },
  {
    name: "pick with repeated columns",
    covers: ["pick", "place"],
    inputs: [[2, 5]],
    build: (g, [a]) => g.pick(a!, g.constant(ints([1, 1, 0, 4, 3, 2]), [2, 3])),
  },
  {
    name: "place",
    covers: ["place"],
    inputs: [[2, 3]],
    build: (g, [a]) => g.place(a!, g.constant(ints([1, 1, 0, 4, 3, 2]), [2, 3]), 5),
  },
  {
    name: "fill",
    covers: ["fill"],
    inputs: [[2, 5]],
    build: (g, [a]) => g.fill(a!, g.constant(ints([1, 0, 3, 3]), [2, 2]), 7),
  },
  {
    name: "fill of a value that is needed again",
    covers: ["fill"],
    inputs: [[2, 5]],
    build: (g, [a]) => {
      const doubled = g.add(a!, a!);
      return g.mul(g.fill(doubled, g.constant(ints([1, 0, 3, 3]), [2, 2]), 7), doubled);
    },
  },
  {
    name: "slices side by side with a gap, and a use of the whole",
    covers: ["slice", "concat"],
    inputs: [[3, 9]],
    build: (g, [a]) => g.add(g.mul(g.slice(a!, 1, 5, 3), g.square(g.slice(a!, 1, 1, 3))), g.sum(a!, [1], true)),
  },
  {
    name: "slices that overlap, and slices along two axes",
    covers: ["slice", "pad"],
    inputs: [[4, 4]],
    build: (g, [a]) => g.mul(g.mul(g.slice(a!, 1, 0, 3), g.slice(a!, 1, 1, 3)), g.slice(g.slice(a!, 0, 1, 1), 1, 1, 3)),
  },
  { name: "slice", covers: ["slice"], inputs: [[3, 7]], build: (g, [a]) => g.slice(a!, 1, 2, 3) },
  { name: "pad", covers: ["pad"], inputs: [[3, 2]], build: (g, [a]) => g.pad(a!, 1, 2, 1) },
  {
    name: "concat",
    covers: ["concat"],
    inputs: [
      [3, 2],
      [3, 4],
    ],
    build: (g, [a, b]) => g.concat([a!, b!], 1),
  },
];

export interface PreparedCase {
  /** Outputs: `result`; `loss`, the sum of result x probe; `d0`, `d1`, ...: the loss's gradient in each input. */
  readonly graph: Graph;
  /** Feeds `x0`, `x1`, ... and `probe`, drawn from the case's name. */
  readonly feeds: Readonly<Record<string, HostTensor>>;
}

/** A random linear functional of the result makes a scalar whose gradient tells every element apart. */
export function prepareCase({ name, inputs, declared, range = [-1.5, 1.5], build }: OpCase): PreparedCase {
  const rng = new SeededRng(7, name);
  const g = new GraphBuilder();
  const values = inputs.map((shape, i) => g.input(`x${i}`, declared?.[i] ?? shape));
  const result = build(g, values);
  const bindings = bindFeeds(g.build({ result }), Object.fromEntries(inputs.map((shape, i) => [`x${i}`, shape])));
  const probe = g.input("probe", result.shape);
  const loss = g.total(g.mul(result, probe));
  const grads = gradients(g, loss, values);
  const feeds: Record<string, HostTensor> = {};
  inputs.forEach((shape, i) => {
    const data = Float32Array.from({ length: sizeOf(shape) }, () => range[0] + (range[1] - range[0]) * rng.uniform());
    feeds[`x${i}`] = { shape, data };
  });
  const shape = result.shape.map((dim) => resolve(dim, bindings));
  feeds.probe = { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => rng.normal()) };
  return { graph: g.build({ loss, result, ...Object.fromEntries(grads.map((v, i) => [`d${i}`, v])) }), feeds };
}
