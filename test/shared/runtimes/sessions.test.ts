/** The sessions that stay open, with real sessions whose weights are declared as large. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GraphBuilder } from "../../../shared/graph/graph.js";
import { encodeOnnx } from "../../../shared/runtimes/onnx/encode.js";
import { type InferenceSession, loadOnnxRuntime, type Tensor } from "../../../shared/runtimes/onnx/library.js";
import { Sessions } from "../../../shared/runtimes/onnx/sessions.js";

const ort = await loadOnnxRuntime();

const { model } = (() => {
  const g = new GraphBuilder();
  return encodeOnnx(g.build({ y: g.scale(g.input("x", [2]), 3) }));
})();

test("recently used sessions stay open, a closed session opens again, and its results outlive it", async () => {
  let opened = 0;
  const sessions = new Sessions<{ weightBytes: number }>(
    () => {
      opened++;
      return ort.InferenceSession.create(model);
    },
    () => 100,
  );
  const run = async (session: InferenceSession): Promise<Tensor> =>
    (await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2), [2]) }))["out:y"] as Tensor;
  const [a, b] = [await sessions.hold({ weightBytes: 40 }), await sessions.hold({ weightBytes: 40 })];
  const kept = await run(await sessions.use(a));
  const c = await sessions.hold({ weightBytes: 40 }); // too much for three: b was used least recently
  assert.deepEqual(
    [a, b, c].map(({ session }) => session !== undefined),
    [true, false, true],
  );
  assert.equal(opened, 3);
  await sessions.use(a);
  assert.equal(opened, 3);
  const large = await sessions.hold({ weightBytes: 1000 }); // more than the limit: it has the thread to itself
  assert.deepEqual(
    [a, b, c, large].map(({ session }) => session !== undefined),
    [false, false, false, true],
  );
  assert.deepEqual([...(kept.data as Float32Array)], [3, 6]);
  assert.deepEqual([...((await run(await sessions.use(b))).data as Float32Array)], [3, 6]);
  assert.equal(large.session, undefined);
  for (const held of [a, b, c, large]) await sessions.release(held);
});
