/**
 * Every operation's derivative against central differences, computed by ONNX Runtime. Float32 differences at step 1e-2 agree with the
 * derivative to about 1e-3 of its magnitude; the error of a wrong rule is as large as the derivative.
 */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { gradients } from "../../../shared/graph/gradients.js";
import { GraphBuilder, type OpKind } from "../../../shared/graph/graph.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { OP_CASES, prepareCase } from "../../support/op-cases.js";

const runtime = new OnnxRuntime();
after(() => runtime.close());

for (const op of OP_CASES) {
  test(`the gradient of ${op.name} equals central differences`, async () => {
    const { graph, feeds } = prepareCase(op);
    const program = await runtime.compile(graph);
    const { tensors } = await program.run(feeds);
    const step = 1e-2;
    for (let i = 0; i < op.inputs.length; i++) {
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

test("every operation that has a gradient is among the cases", () => {
  const covered = new Set(OP_CASES.flatMap(({ covers }) => covers));
  const all: OpKind[] = [
    "add", "sub", "mul", "div", "minimum", "neg", "exp", "log", "sqrt", "reciprocal", "sigmoid", "tanh", "erf", "relu", "step",
    "silu", "gelu", "geluTanh", "rmsNorm", "inverseRms", "layerNorm", "inverseStd", "rotary", "matmul", "reshape", "after", "expand", "transpose", "sum", "softmax", "logSumExp", "gather", "scatterRows", "pick",
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

test("no gradient is computed before the first differentiated value", () => {
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
