import assert from "node:assert/strict";
import { test } from "node:test";
import { affinityErrors, affinityMatrix } from "../../../coordinator/estimation/affinity.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { sampleAffinity } from "../../../coordinator/estimation/precision.js";
import { buildProblem } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { smallestSize } from "../../../coordinator/estimation/subset-size.js";
import { SeededRng } from "../../../shared/base/random.js";
import { randomSketches } from "./sketches.js";

test("the standard error of an affinity is its deviation from the affinity over all subsets", () => {
  // f_i(S) is drawn once for each of all 495 subsets, with a deviation per client; 200 families of 60, of which a pair
  // is in 5.5 of its 45 subsets, so a deviation is known within 5 % (one in 20).
  const n = 12;
  const rng = new SeededRng(3, "values");
  const all = sampleSubsets(n, { size: 4, subsets: 495 }).subsets;
  const table = new Map(
    all.map((subset) => [subset.join(), Float64Array.from(subset, (i) => i + (0.3 + 0.1 * i) * rng.normal())]),
  );
  const valuesOf = (subsets: readonly Int32Array[]) => subsets.map((subset) => table.get(subset.join())!);
  const truth = affinityMatrix(n, all, valuesOf(all));
  const families = Array.from({ length: 200 }, (_, seed) => {
    const { subsets } = sampleSubsets(n, { size: 4, subsets: 60, seed });
    const affinity = affinityMatrix(n, subsets, valuesOf(subsets));
    return { affinity, errors: affinityErrors(affinity, subsets, valuesOf(subsets)) };
  });
  for (let i = 0; i < n; i++) {
    let seen = 0;
    let said = 0;
    for (const { affinity, errors } of families)
      for (let j = 0; j < n; j++) {
        if (j === i) continue;
        seen += (affinity.matrix[i]![j]! - truth.matrix[i]![j]!) ** 2;
        said += errors.matrix[i]![j]! ** 2;
      }
    assert.ok(Math.abs(Math.sqrt(said / seen) - 1) < 0.12, `client ${i}: ${Math.sqrt(said / seen)}`);
  }
  // With all subsets the error is 0.
  assert.equal(affinityErrors(truth, all, valuesOf(all)).typical, 0);
});

test("with one subset per pair the standard error of an affinity is unknown; with subsets of two it is 0", () => {
  const lines = ["012", "034", "056", "135", "146", "236", "245"].map((line) => Int32Array.from(line, Number));
  const ofThree = lines.map(() => Float64Array.of(1, 2, 3));
  assert.equal(affinityErrors(affinityMatrix(7, lines, ofThree), lines, ofThree).typical, Number.POSITIVE_INFINITY);
  const { subsets } = sampleSubsets(4, { design: "pairs" });
  const values = subsets.map(() => Float64Array.of(1, 2));
  assert.equal(affinityErrors(affinityMatrix(4, subsets, values), subsets, values).typical, 0);
});

test("the smallest subset size is chosen that reaches the standard error for the work of the default size", async () => {
  const few = createReferenceSolver(buildProblem(randomSketches(10, { dim: 4 })), { lambda: 1e-2 });
  const pairs = await sampleAffinity(few, { standardError: 1e-3 });
  assert.deepEqual([pairs.plan.size, pairs.plan.subsets.length, pairs.errors.typical], [2, 45, 0]);
  assert.equal((await sampleAffinity(few, { standardError: 1e-3, size: 4 })).plan.size, 4);

  // A hundred clients: all pairs contain 9,900 clients together, the default's subsets of ten at its coverage 8,800. Subsets of three cover a
  // pair 1.8 times with so many: the remaining error decides.
  const many = createReferenceSolver(buildProblem(randomSketches(100, { dim: 3 })), { lambda: 1e-2 });
  const { typical } = (await sampleAffinity(many, { size: 3, coverage: 1.77 })).errors;
  assert.ok((await smallestSize(many, 0.8 * typical)) > 3);
  assert.equal(await smallestSize(many, 1e-6), 10);
  const wanted = 1.15 * typical;
  const found = await sampleAffinity(many, { standardError: wanted });
  assert.equal(found.plan.size, 3);
  assert.ok(found.errors.typical <= wanted, `${found.errors.typical} of ${wanted}`);
});

test("subsets are added until the standard error is reached, and solved subsets are kept", async () => {
  const problem = buildProblem(randomSketches(14, { dim: 8 }));
  const solver = createReferenceSolver(problem, { lambda: 1e-2 });
  let solved = 0;
  const counting = {
    ...solver,
    fit: (...given: Parameters<typeof solver.fit>) => {
      solved += given[0].length;
      return solver.fit(...given);
    },
  };
  const first = await sampleAffinity(counting, { size: 4, coverage: 3 });
  const wanted = 0.6 * first.errors.typical;
  solved = 0;
  const found = await sampleAffinity(counting, { size: 4, standardError: wanted });
  assert.ok(found.errors.typical <= wanted, `${found.errors.typical} against ${wanted}`);
  assert.equal(solved, found.plan.subsets.length);
  assert.ok(found.plan.subsets.length > first.plan.subsets.length);
  assert.ok(found.plan.subsets.length < 6 * first.plan.subsets.length);
  const whole = memberValues(await fitHeldOut(solver, found.plan.subsets));
  memberValues(found.fits).forEach((values, k) => {
    assert.deepEqual(values, whole[k]);
  });
  const few = await sampleAffinity(counting, { size: 4, standardError: 1e-9, most: 60 });
  assert.equal(few.plan.subsets.length, 60);
});

test("a number of subsets and a standard error exclude each other", async () => {
  const solver = createReferenceSolver(buildProblem(randomSketches(5, { dim: 3 })));
  await assert.rejects(
    sampleAffinity(solver, { subsets: 10, standardError: 0.1 }),
    /estimation.subsets and estimation.standardError: both set/,
  );
});

test("a large client counts at most as the median client, or a small one as much as the largest", async () => {
  const sketches = randomSketches(3, { dim: 5 });
  const sized = sketches.map((sketch, i) => ({ ...sketch, trainExamples: [20, 40, 4000][i]! }));
  assert.deepEqual([...buildProblem(sized).trainExamples], [20, 40, 4000]);
  assert.deepEqual([...buildProblem(sized, "down").trainExamples], [20, 40, 40]);
  assert.deepEqual([...buildProblem(sized, "up").trainExamples], [4000, 4000, 4000]);
  // The purpose: the small client's loss under the weights of all three.
  const losses: number[] = [];
  for (const balance of ["none", "down", "up"] as const) {
    const solver = createReferenceSolver(buildProblem(sized, balance), { lambda: 1e-2, referenceExamples: 1 });
    const { weights } = await solver.fit([[0, 1, 2]]);
    let loss = 0;
    const { train } = solver.problem;
    for (let r = 0; r < train[0]!.margin.length; r++) {
      let z = train[0]!.margin[r]!;
      for (let d = 0; d < 5; d++) z += train[0]!.sketch[r * 5 + d]! * weights[d]!;
      loss += Math.log1p(Math.exp(-z));
    }
    losses.push(loss);
  }
  assert.ok(losses[1]! < losses[0]! && losses[2]! < losses[0]!, losses.join());
});
