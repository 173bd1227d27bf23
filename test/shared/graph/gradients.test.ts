/**
 * Every operation's derivative against central differences, executed by ONNX Runtime. Float32 differences at step 1e-2 agree
 * with the derivative to about 1e-3 of its size; a wrong rule is off by its whole size.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { SeededRng } from "../../../shared/base/random.js";
import type { Shape } from "../../../shared/graph/dims.js";
import { gradients } from "../../../shared/graph/gradients.js";
import { GraphBuilder, type OpKind, type Value } from "../../../shared/graph/graph.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import type { HostTensor } from "../../../shared/runtimes/types.js";

const runtime = new OnnxRuntime();
after(() => runtime.close());

interface Case {
  readonly name: string;
  readonly covers: readonly OpKind[];
  readonly inputs: readonly (readonly number[])[];
  /** Declared shapes where they differ from the fed ones (symbols). */
  readonly declared?: readonly Shape[];
  readonly range?: readonly [number, number];
  readonly build: (g: GraphBuilder, inputs: Value[]) => Value;
}

const ints = (values: readonly number[]): Int32Array => Int32Array.from(values);

const CASES: readonly Case[] = [
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
    (interleaved): Case => ({
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
  ...[0, 1, 2, 3].flatMap((flags): Case[] => {
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

for (const { name, inputs, declared, range = [-1.5, 1.5], build } of CASES) {
  test(`the gradient of ${name} equals central differences`, async () => {
    const rng = new SeededRng(7, name);
    const g = new GraphBuilder();
    const values = inputs.map((shape, i) => g.input(`x${i}`, declared?.[i] ?? shape));
    const result = build(g, values);
    // A random linear functional of the result makes a scalar whose gradient tells every element apart.
    const probe = g.input("probe", result.shape);
    const loss = g.total(g.mul(result, probe));
    const grads = gradients(g, loss, values);
    const program = await runtime.compile(
      g.build({ loss, result, ...Object.fromEntries(grads.map((v, i) => [`d${i}`, v])) }),
    );

    const draw = (size: number): Float32Array =>
      Float32Array.from({ length: size }, () => range[0] + (range[1] - range[0]) * rng.uniform());
    const feeds: Record<string, HostTensor> = {};
    inputs.forEach((shape, i) => {
      feeds[`x${i}`] = { shape, data: draw(shape.reduce((n, d) => n * d, 1)) };
    });
    const shape = await shapeOf(result, values, inputs);
    feeds.probe = { shape, data: Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, () => rng.normal()) };

    const { tensors } = await program.run(feeds);
    const step = 1e-2;
    for (let i = 0; i < inputs.length; i++) {
      const analytic = tensors[`d${i}`]!.data;
      const base = feeds[`x${i}`]!;
      assert.equal(analytic.length, base.data.length);
      let error = 0;
      let size = 0;
      for (let j = 0; j < base.data.length; j++) {
        const at = async (delta: number): Promise<number> => {
          const moved = Float32Array.from(base.data);
          moved[j] = moved[j]! + delta;
          const run = await program.run(
            { ...feeds, [`x${i}`]: { shape: base.shape, data: moved } },
            { fetch: ["result"] },
          );
          const out = run.tensors.result!.data;
          let sum = 0;
          for (let k = 0; k < out.length; k++) sum += out[k]! * feeds.probe!.data[k]!;
          return sum;
        };
        const numeric = ((await at(step)) - (await at(-step))) / (2 * step);
        error += (numeric - analytic[j]!) ** 2;
        size += numeric ** 2;
      }
      assert.ok(
        Math.sqrt(error) <= 2e-3 * Math.sqrt(size) + 1e-3,
        `input ${i}: off by ${Math.sqrt(error / (size + 1e-9))}`,
      );
    }
    await program.release();
  });
}

async function shapeOf(
  result: Value,
  values: readonly Value[],
  given: readonly (readonly number[])[],
): Promise<number[]> {
  const { bind, resolve } = await import("../../../shared/graph/dims.js");
  const bindings: Record<string, number> = {};
  values.forEach((value, i) => {
    bind(`x${i}`, value.shape, given[i]!, bindings);
  });
  return result.shape.map((dim) => resolve(dim, bindings));
}

test("every operation that has a gradient is among the cases", () => {
  const covered = new Set(CASES.flatMap(({ covers }) => covers));
  const all: OpKind[] = [
    "add", "sub", "mul", "div", "minimum", "neg", "exp", "log", "sqrt", "reciprocal", "sigmoid", "tanh", "erf", "relu", "step",
    "silu", "gelu", "geluTanh", "rmsNorm", "inverseRms", "layerNorm", "inverseStd", "rotary", "matmul", "reshape", "expand", "transpose", "sum", "softmax", "logSumExp", "gather", "scatterRows", "pick",
    "place", "fill", "slice", "pad", "concat", "zeros",
  ]; // biome-ignore format: a plain list
  const exempt: OpKind[] = ["input", "weight", "constant"];
  const known: Record<OpKind, true> = Object.fromEntries([...all, ...exempt].map((kind) => [kind, true])) as Record<
    OpKind,
    true
  >;
  assert.deepEqual(
    all.filter((kind) => !covered.has(kind)),
    [],
  );
  assert.ok(known);
});

test("nothing is computed below the value that is differentiated", () => {
  const g = new GraphBuilder();
  const x = g.input("x", [2, 3]);
  const below = g.exp(x);
  const p = g.input("p", [3]);
  const loss = g.total(g.mul(below, p));
  const [dp] = gradients(g, loss, [p]);
  const graph = g.build({ loss, dp: dp! });
  assert.equal(graph.nodes.filter(({ op }) => op.kind === "exp").length, 1);
  // One product forward and one for dp; a third would be the gradient of exp.
  assert.equal(graph.nodes.filter(({ op }) => op.kind === "mul").length, 2);
});
