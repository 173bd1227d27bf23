/** A stacked graph against one run of the plain graph per value of the stacked inputs. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { GraphBuilder } from "../../../shared/graph/graph.js";
import { stackGraph } from "../../../shared/graph/stack.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

test("each slice is the plain graph's result for its values, and values without stacked inputs are not stacked", async () => {
  const g = new GraphBuilder();
  const own = g.input("own", [3]);
  const common = g.input("common", ["B", "T", 3]);
  const columns = g.input("columns", ["B*T", 1], "int32");
  // A value of fewer axes meets one of more: its leading axis must not meet theirs.
  const scaled = g.mul(common, own);
  const rows = g.reshape(scaled, ["B*T", 3]);
  const products = g.matmul(scaled, common, { transB: true });
  const graph = g.build({
    scaled,
    products: g.softmax(products),
    picked: g.sub(g.pick(rows, columns), g.logSumExp(rows)),
    joined: g.concat([common, scaled], 2),
    turned: g.transpose(scaled, [1, 0, 2]),
    first: g.slice(scaled, 2, 0, 1),
    gained: g.layerNorm(common, own, g.constant(Float32Array.of(1, 2, 3), [3]), 1e-5),
    shifted: g.layerNorm(scaled, g.constant(Float32Array.of(1, 2, 3), [3]), own, 1e-5),
    rooted: g.rmsNorm(scaled, own, 1e-5),
    gathered: g.gather(rows, g.constant(Int32Array.of(1, 0), [2])),
    doubled: g.scale(common, 2),
  });
  const slices = [Float32Array.of(1, -2, 0.5), Float32Array.of(3, 0.25, -1)];
  const feeds = {
    common: { shape: [2, 2, 3], data: Float32Array.from({ length: 12 }, (_, i) => Math.sin(i)) },
    columns: { shape: [4, 1], data: Int32Array.of(0, 2, 1, 1) },
  };
  const plain = await runtime.compile(graph);
  const stacked = await runtime.compile(stackGraph(graph, ["own"], "M"));
  const all = { shape: [2, 3], data: Float32Array.from(slices.flatMap((slice) => [...slice])) };
  const got = (await stacked.run({ ...feeds, own: all })).tensors;
  for (const [m, data] of slices.entries()) {
    const want = (await plain.run({ ...feeds, own: { shape: [3], data } })).tensors;
    for (const [name, { shape, data: numbers }] of Object.entries(want)) {
      if (name === "doubled") {
        assert.deepEqual(got[name], want[name]);
        continue;
      }
      assert.deepEqual(got[name]!.shape, [2, ...shape], name);
      numbers.forEach((x, i) => {
        assert.ok(Math.abs(got[name]!.data[m * numbers.length + i]! - x) < 1e-5, `${name} of slice ${m}, number ${i}`);
      });
    }
  }
});

test("an operation without a rule is refused", () => {
  const g = new GraphBuilder();
  const own = g.input("own", [4, 3]);
  const summed = g.build({ out: g.sum(own, [0]) });
  assert.throws(() => stackGraph(summed, ["own"], 2), { message: "sum of stacked values has no rule" });
  assert.doesNotThrow(() => stackGraph(summed, [], 2));
});
