import assert from "node:assert/strict";
import { after, test } from "node:test";
import { decompose } from "../../../coordinator/algebra/eigen.js";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { reduceToPrincipalAxes } from "../../../coordinator/estimation/principal-axes.js";
import { buildProblem, type EstimationProblem } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import type { Runtime } from "../../../shared/runtimes/types.js";
import type { ClientSketch, LogisticRows } from "../../../shared/sketch/types.js";
import { counting } from "../../support/counting-runtime.js";
import { randomSketches } from "./sketches.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

/** The rows' sketches mapped to `dim` numbers by a random matrix: they keep their rank. */
function widened(sketches: readonly ClientSketch[], dim: number): ClientSketch[] {
  const narrow = sketches[0]!.train.dim;
  const rng = new SeededRng(5, "map");
  const map = Float64Array.from({ length: narrow * dim }, () => rng.normal() / Math.sqrt(dim));
  const wide = (rows: LogisticRows): LogisticRows => {
    const sketch = new Float32Array(rows.margin.length * dim);
    for (let r = 0; r < rows.margin.length; r++)
      for (let i = 0; i < narrow; i++)
        for (let d = 0; d < dim; d++) sketch[r * dim + d]! += rows.sketch[r * narrow + i]! * map[i * dim + d]!;
    return { ...rows, dim, sketch };
  };
  return sketches.map((sketch) => ({ ...sketch, train: wide(sketch.train), validation: wide(sketch.validation) }));
}

/** Sum over the clients of the mean squared norm of a training row. */
const energy = ({ train }: EstimationProblem): number =>
  train.reduce((sum, { sketch, margin }) => sum + sketch.reduce((s, x) => s + x * x, 0) / margin.length, 0);

test("sketches that lie in few directions give the same estimates from as many axes as from all numbers", async () => {
  const problem = buildProblem(widened(randomSketches(6, { dim: 9, twoTerm: true, negatives: 3, size: 2 }), 80));
  const few = await reduceToPrincipalAxes(problem, runtime, { axes: 12 });
  assert.deepEqual([few.dim, few.sentDim], [12, 80]);
  assert.equal(few.scale, problem.scale);
  assert.ok(few.train.every(({ dim, sketch, margin }) => dim === 12 && sketch.length === 12 * margin.length));
  const subsets = [[0], [1, 2], [0, 3, 4], [0, 1, 2, 3, 4, 5]];
  const valuesOf = async (of: EstimationProblem) =>
    memberValues(await fitHeldOut(createReferenceSolver(of, { lambda: [1e-2, 1e-3] }), subsets)).flatMap((values) => [
      ...values,
    ]);
  const [ours, theirs] = [await valuesOf(few), await valuesOf(problem)];
  ours.forEach((value, at) => {
    assert.ok(Math.abs(value - theirs[at]!) < 1e-4 * Math.max(1, Math.abs(theirs[at]!)), `${value} ${theirs[at]}`);
  });
});

test("the axes of sketches in all directions hold nearly the energy of the best axes, at any size of the numbers", async () => {
  // The directions decay as 1 / sqrt(1 + x), more slowly than those of real sketches.
  for (const size of [1, 1e9]) {
    const problem = buildProblem(randomSketches(20, { dim: 120, size }));
    const { train, dim } = problem;
    const moment = new Float64Array(dim * dim);
    for (const { sketch, margin } of train)
      for (let r = 0; r < margin.length; r++)
        for (let i = 0; i < dim; i++)
          for (let j = 0; j < dim; j++)
            moment[i * dim + j]! += (sketch[r * dim + i]! * sketch[r * dim + j]!) / margin.length;
    const best = decompose(moment, dim)
      .values.slice(0, 30)
      .reduce((sum, x) => sum + x, 0);
    const held = energy(await reduceToPrincipalAxes(problem, runtime, { axes: 30 }));
    assert.ok(held > 0.93 * best && held <= 1.0001 * best, `${held / best}`);
  }
});

test("sketches of zeros stay zeros, and narrow sketches are not changed", async () => {
  const problem = buildProblem(randomSketches(3, { dim: 16, size: 0 }));
  const { train } = await reduceToPrincipalAxes(problem, runtime, { axes: 4 });
  assert.ok(train.every(({ sketch }) => sketch.every((x) => x === 0)));
  assert.equal(await reduceToPrincipalAxes(problem, runtime, { axes: 16 }), problem);
});

type Close = () => Promise<void>;
const users: readonly [name: string, open: (problem: EstimationProblem, on: Runtime) => Promise<Close | undefined>][] =
  [
    [
      "the batched solver",
      async (problem, on) => {
        const solver = await createBatchedSolver(problem, on);
        return () => solver.close();
      },
    ],
    [
      "the reduction to leading axes",
      async (problem, on) => {
        await reduceToPrincipalAxes(problem, on, { axes: 4 });
        return undefined;
      },
    ],
  ];
for (const [name, open] of users)
  test(`${name} leaves nothing with the runtime, whichever of its calls fails`, async () => {
    const problem = buildProblem(randomSketches(3, { dim: 16 }));
    const sound = counting(runtime);
    const close = await open(problem, sound);
    if (close !== undefined) assert.ok(sound.held > 0, "the count sees what an open solver holds");
    await close?.();
    assert.equal(sound.held, 0);
    assert.ok(sound.calls >= 6, `${sound.calls} calls`);
    for (let call = 1; call <= sound.calls; call++) {
      const failing = counting(runtime, call);
      await assert.rejects(open(problem, failing), new RegExp(`call ${call} fails`));
      assert.equal(failing.held, 0, `after call ${call} failed`);
    }
  });
