import assert from "node:assert/strict";
import { after, test } from "node:test";
import { affinityMatrix } from "../../../coordinator/estimation/affinity.js";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { mean, memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut, type HeldOutFits } from "../../../coordinator/estimation/held-out.js";
import { SurrogateEvaluator } from "../../../coordinator/estimation/partition-evaluator.js";
import { buildProblem, crossFit, defaultFolds } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";
import { FEW_EXAMPLES, groupPlanted } from "./planted.js";
import { randomSketches } from "./sketches.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

test("affinities are means over the subsets that hold both clients", () => {
  const { matrix, counts } = affinityMatrix(
    3,
    [
      [0, 1],
      [1, 2],
      [0, 2],
      [0, 1, 2],
    ],
    [Float64Array.of(1, 2), Float64Array.of(3, 4), Float64Array.of(5, 6), Float64Array.of(7, 8, 9)],
  );
  assert.deepEqual(
    matrix.map((row) => [...row]),
    [
      [13 / 3, 4, 6],
      [5, 13 / 3, 5.5],
      [7.5, 6.5, 19 / 3],
    ],
  );
  assert.deepEqual([...counts[0]!], [3, 2, 2]);
  assert.throws(
    () => affinityMatrix(3, [[0, 1]], [Float64Array.of(1, 1)]),
    /no subset contains both client 0 and client 2/,
  );
});

test("permuting the clients permutes the affinities", async () => {
  const sketches = randomSketches(7, { dim: 9, twoTerm: true });
  const { subsets } = sampleSubsets(7, { size: 3, subsets: 20 });
  const affinity = async (order: readonly number[]) => {
    const solver = createReferenceSolver(buildProblem(order.map((i) => sketches[i]!)));
    const renamed = subsets.map((subset) => Int32Array.from(subset, (i) => order.indexOf(i)).sort());
    return affinityMatrix(7, renamed, memberValues(await fitHeldOut(solver, renamed))).matrix;
  };
  const straight = await affinity([0, 1, 2, 3, 4, 5, 6]);
  const order = [...new SeededRng(5).permutation(7)];
  const permuted = await affinity(order);
  for (let a = 0; a < 7; a++)
    for (let b = 0; b < 7; b++) assert.ok(Math.abs(permuted[a]![b]! - straight[order[a]!]![order[b]!]!) < 1e-6);
});

test("a partition's value is the weighted mean of its clients' values", async () => {
  const solver = createReferenceSolver(buildProblem(randomSketches(5, { dim: 6 })), { lambda: 1e-3 });
  const weights = [1, 2, 3, 4, 5];
  const evaluator = new SurrogateEvaluator(solver, { weights });
  const partition = [
    [0, 3],
    [4, 1, 2],
  ];
  const [value] = await evaluator.values([partition]);
  const fits = await solver.fit(partition);
  let expected = 0;
  for (const [k, group] of partition.entries())
    for (const i of group) {
      const [losses] = await solver.exampleLosses(fits.weights, { client: Int32Array.of(i), weight: Int32Array.of(k) });
      expected -= (weights[i]! / 15) * mean(losses!);
    }
  assert.ok(Math.abs(value! - expected) < 1e-12);
  const clients = await evaluator.clientValues(partition);
  assert.ok(Math.abs(clients.reduce((sum, f, i) => sum + (weights[i]! / 15) * f, 0) - expected) < 1e-12);
});

test("every subset gets the lambda of the path with the lowest loss on its members' held-out examples", async () => {
  const { sketches } = plantedSketches({ clients: 6, groups: 2, train: 24, validation: 12, dim: 20, seed: 3 });
  const problem = crossFit(buildProblem(sketches), 3);
  const subsets = [
    [0, 2, 4],
    [1, 3, 5],
    [0, 1],
    [0, 1, 2, 3, 4, 5],
  ];
  const path = [1e-1, 1e-2, 1e-3, 1e-4];
  const loss = (losses: readonly Float64Array[]) => mean(Float64Array.from(losses.flatMap((x) => [...x])));
  for (const create of [
    (lambda: number | number[]) => createReferenceSolver(problem, { lambda }),
    (lambda: number | number[]) => createBatchedSolver(problem, runtime, { lambda }),
  ]) {
    const solver = await create(path);
    const chosen = await fitHeldOut(solver, subsets);
    await solver.close();
    const alone: HeldOutFits[] = [];
    for (const lambda of path) {
      const one = await create(lambda);
      alone.push(await fitHeldOut(one, subsets));
      await one.close();
    }
    subsets.forEach((_, k) => {
      const each = alone.map(({ losses }) => loss(losses[k]!));
      // A subset leaves the path at the first rise, so it must never end above the start.
      let expected = 0;
      while (expected + 1 < path.length && each[expected + 1]! < each[expected]!) expected++;
      assert.equal(chosen.lambda[k], path[expected], `subset ${k}: ${each}`);
      assert.ok(Math.abs(loss(chosen.losses[k]!) - each[expected]!) < 1e-3);
      assert.ok(chosen.gradientNorm[k]! <= 1e-6);
    });
    assert.ok(new Set(chosen.lambda).size > 1, "subsets differ in their best lambda");
  }
});

test("a group is solved once, also where several partitions contain it", async () => {
  const evaluator = new SurrogateEvaluator(createReferenceSolver(buildProblem(randomSketches(5, { dim: 6 }))));
  await evaluator.values([
    [
      [0, 1],
      [2, 3, 4],
    ],
    [[1, 0], [2], [3, 4]],
  ]);
  assert.equal(evaluator.solved, 4);
  await evaluator.compare(
    [[2], [0, 1], [4, 3]],
    [
      [0, 1],
      [2, 3, 4],
    ],
  );
  assert.equal(evaluator.solved, 4);
});

test("a group solved from a neighbour has the value of a full solve for far fewer surrogates, and a call without the neighbour solves it again", async () => {
  const { sketches } = plantedSketches({ clients: 24, groups: 2, train: 30, validation: 20, dim: 10, seed: 4 });
  const solver = createReferenceSolver(crossFit(buildProblem(sketches)));
  const evaluator = new SurrogateEvaluator(solver);
  const group = (of: (i: number) => boolean) => Array.from({ length: 24 }, (_, i) => i).filter(of);
  const start = [group((i) => i % 2 === 0), group((i) => i % 2 === 1)];
  const moved = [7, 16].map((moves) => {
    const isFirst = (i: number) => (i % 2 === 0) !== (i === moves);
    return [group(isFirst), group((i) => !isFirst(i))];
  });
  await evaluator.values([start]);
  let fits = 0;
  const fit = solver.fit.bind(solver);
  solver.fit = (subsets, options) => {
    fits += subsets.length;
    return fit(subsets, options);
  };
  const near = await evaluator.values(moved, start);
  const folds = solver.problem.folds!.count;
  assert.equal(fits, 4 * folds, "one lambda, a surrogate per fold");
  const exact = await evaluator.values(moved);
  assert.ok(fits >= 4 * folds * 3, "and the whole path without the neighbour");
  const [before] = await evaluator.values([start]);
  moved.forEach((_, m) => {
    // The lambda is the neighbour's, which costs a fraction of the effect of the move itself.
    const change = Math.abs(exact[m]! - before!);
    assert.ok(Math.abs(near[m]! - exact[m]!) < 0.1 * change, `${near[m]} against ${exact[m]}, a change of ${change}`);
  });
});

test("the standard error of a difference is the bootstrap's over held-out examples", async () => {
  const { sketches } = plantedSketches({ clients: 6, groups: 2, train: 20, validation: 30, dim: 10, seed: 1 });
  const solver = createReferenceSolver(buildProblem(sketches), { lambda: 1e-3 });
  const evaluator = new SurrogateEvaluator(solver);
  const one = [[0, 1, 2, 3, 4, 5]];
  const two = [
    [0, 2, 4],
    [1, 3, 5],
  ];
  const { gain, standardError } = await evaluator.compare(two, one);
  const losses = async (partition: number[][]) => {
    const fits = await solver.fit(partition);
    const result: Float64Array[] = [];
    for (const [k, group] of partition.entries())
      for (const i of group)
        result[i] = (
          await solver.exampleLosses(fits.weights, { client: Int32Array.of(i), weight: Int32Array.of(k) })
        )[0]!;
    return result;
  };
  const a = await losses(two);
  const b = await losses(one);
  const rng = new SeededRng(9, "bootstrap");
  const draws = Float64Array.from({ length: 4000 }, () => {
    let sum = 0;
    for (let i = 0; i < 6; i++)
      for (let s = 0; s < 30; s++) {
        const e = rng.int(30);
        sum += (b[i]![e]! - a[i]![e]!) / 30 / 6;
      }
    return sum;
  });
  const centre = mean(draws);
  const deviation = Math.sqrt(mean(draws.map((x) => (x - centre) ** 2)));
  // 4000 draws: the deviation is known to 1.1 %; n - 1 in place of n adds 1.7 %.
  assert.ok(Math.abs(standardError / deviation - 1) < 0.06, `${standardError} against ${deviation}`);
  assert.ok(Math.abs(gain - centre) < 4 * (deviation / Math.sqrt(4000)));
});

test("the number of folds preserves the training share, and there are none where validation rows are enough", () => {
  const folds = (train: number, validation: number) =>
    defaultFolds(buildProblem(plantedSketches({ clients: 2, groups: 1, train, validation, dim: 4 }).sketches));
  assert.equal(folds(16, 8), 3);
  assert.equal(folds(100, 20), 5);
  assert.equal(folds(100, 60), 1);
  assert.equal(folds(4, 40), 2);
});

test("planted groups with conflicting labels are found from 16 training and 8 validation examples per client", async () => {
  const { grouping, ari } = await groupPlanted(runtime, { ...FEW_EXAMPLES, clients: 12, groups: 3, seed: 1 });
  assert.equal(ari, 1, grouping.why);
});

test("clients without conflict end in one group", async () => {
  const { grouping } = await groupPlanted(runtime, { ...FEW_EXAMPLES, clients: 8, groups: 1, seed: 1 });
  assert.equal(grouping.partition.length, 1, grouping.why);
});

test("one client and two clients go through all stages", async () => {
  for (const clients of [1, 2]) {
    const { grouping } = await groupPlanted(runtime, { clients, groups: 1, train: 12, validation: 6, dim: 20 });
    assert.equal(grouping.partition.flat().length, clients);
  }
});
