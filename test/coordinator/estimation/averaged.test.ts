/** Surrogates over several projections: solved one by one, their margins averaged, behind the interface of any solver. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createAveragedSolver } from "../../../coordinator/estimation/averaged.js";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { forecastOf } from "../../../coordinator/estimation/forecast.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { buildProblem, crossFit, type EstimationProblem } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { KindredError } from "../../../shared/base/errors.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import type { ClientSketch, LogisticRows } from "../../../shared/sketch/types.js";
import { randomSketches } from "./sketches.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

const OPTIONS = { lambda: [1e-1, 1e-2] };
const draw = (seed: number): ClientSketch[] => randomSketches(6, { dim: 5, twoTerm: true, negatives: 2 }, seed);
const first = draw(0);
/** The margins are those of the first: projections differ in their sketches alone. */
const second = draw(1);

const beside = (a: LogisticRows, b: LogisticRows): LogisticRows => {
  const sketch = new Float32Array(a.sketch.length + b.sketch.length);
  a.margin.forEach((_, r) => {
    sketch.set(a.sketch.subarray(r * a.dim, (r + 1) * a.dim), 2 * r * a.dim);
    sketch.set(b.sketch.subarray(r * a.dim, (r + 1) * a.dim), (2 * r + 1) * a.dim);
  });
  return { ...a, dim: 2 * a.dim, sketch };
};
const together = (a: readonly ClientSketch[], b: readonly ClientSketch[]): ClientSketch[] =>
  a.map((sketch, i) => ({
    ...sketch,
    train: beside(sketch.train, b[i]!.train),
    validation: beside(sketch.validation, b[i]!.validation),
  }));
const PARTITION = [
  [0, 3, 5],
  [1, 2, 4],
];

for (const folds of [1, 3])
  test(`the same projection twice gives the estimates of one, ${folds} fold(s)`, async () => {
    const one = createReferenceSolver(crossFit(buildProblem(first), folds), OPTIONS);
    const twice = await createAveragedSolver(crossFit(buildProblem(together(first, first)), folds), 2, async (part) =>
      createReferenceSolver(part, OPTIONS),
    );
    const shares: number[] = [];
    const [wanted, got] = [
      await fitHeldOut(one, PARTITION),
      await fitHeldOut(twice, PARTITION, undefined, (share) => shares.push(share)),
    ];
    // How far it is grows, in steps within a stage of the path too, and ends with all.
    assert.deepEqual(
      shares,
      shares.toSorted((a, b) => a - b),
    );
    assert(shares.length > 8 && (shares[0] as number) <= 1 / 8 && Math.abs((shares.at(-1) as number) - 1) < 1e-9);
    assert.deepEqual(got.lambda, wanted.lambda);
    memberValues(wanted).forEach((values, k) => {
      values.forEach((f, s) => {
        assert.ok(Math.abs(memberValues(got)[k]![s]! - f) < 1e-7);
      });
    });
    assert.equal(
      (await forecastOf(twice, PARTITION)).accuracy!.value,
      (await forecastOf(one, PARTITION)).accuracy!.value,
    );
  });

test("a margin is the mean over the projections' surrogates, and its loss is the loss of that mean", async () => {
  const problem = buildProblem(together(first, second));
  const subsets = [[0, 1, 2], [4]];
  const pairs = { client: Int32Array.of(3, 1), weight: Int32Array.of(1, 0) };
  const averaged = await createAveragedSolver(problem, 2, (part) => createBatchedSolver(part, runtime, OPTIONS));
  const fits = await averaged.fit(subsets);
  const margins = await averaged.rowMargins(fits.weights, pairs);
  // Both share one scale, half of the mean square each; their own scales would differ.
  const scale = problem.scale / Math.SQRT2;
  const parts = [first, second].map((sketches) => {
    const own = sketches.map(({ train, validation, ...rest }, i) => ({
      ...rest,
      train: { ...train, margin: first[i]!.train.margin },
      validation: { ...validation, margin: first[i]!.validation.margin },
    }));
    return createReferenceSolver({ ...buildProblem(own), scale }, OPTIONS);
  });
  const each = await Promise.all(parts.map(async (part) => part.rowMargins((await part.fit(subsets)).weights, pairs)));
  margins.forEach((own, p) => {
    own.forEach((margin, r) => {
      assert.ok(Math.abs(margin - (each[0]![p]![r]! + each[1]![p]![r]!) / 2) < 1e-4);
    });
  });
  const losses = await averaged.exampleLosses(fits.weights, pairs);
  const rows = problem.validation[3]!;
  const only = [...rows.example.keys()].filter((r) => rows.example[r] === 0);
  const termOf = (term: number) =>
    Math.log(only.reduce((sum, r) => sum + (rows.term[r] === term ? Math.exp(-margins[0]![r]!) : 0), 1));
  assert.ok(Math.abs(losses[0]![0]! - termOf(1) - termOf(2)) < 1e-9);
  await averaged.close();
});

test("a width that is not a multiple of the projections is refused", async () => {
  const open = async () => assert.fail("nothing to open");
  await assert.rejects(
    createAveragedSolver(buildProblem(first), 2, open),
    (error) => error instanceof KindredError && /multiple of the 2 projections, got 5/.test(error.message),
  );
});

test("where the solver of one projection fails to open, those opened before it are closed", async () => {
  let closed = 0;
  let opened = 0;
  const open = async (part: EstimationProblem) => {
    if (opened++ === 1) throw new KindredError("internal", "no room for the second");
    return { ...createReferenceSolver(part, OPTIONS), close: async () => void closed++ };
  };
  await assert.rejects(createAveragedSolver(buildProblem(together(first, second)), 2, open), /no room/);
  assert.equal(closed, 1);
});
