import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import {
  buildProblem,
  checkClientSketch,
  crossFit,
  type EstimationProblem,
} from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { compileSurrogate, type SurrogateOptions, subsetLambda } from "../../../coordinator/estimation/surrogate.js";
import { KindredError } from "../../../shared/base/errors.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { type ClientSketch, type LogisticRows, ROW_TERMS } from "../../../shared/sketch/types.js";
import { type Draw, randomRows, randomSketches } from "./sketches.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

/** The objective by its formula, without code of the solvers. */
function objective(
  sketches: readonly ClientSketch[],
  subset: ArrayLike<number>,
  w: ArrayLike<number>,
  lambda0: number,
): number {
  let meanSquare = 0;
  let counted = 0;
  for (const { train, trainExamples } of sketches)
    for (let r = 0; r < train.margin.length; r++) {
      const weight = trainExamples / train.examples;
      counted += weight;
      for (let d = 0; d < train.dim; d++) meanSquare += weight * train.sketch[r * train.dim + d]! ** 2;
    }
  meanSquare /= counted;
  let examples = 0;
  let sum = 0;
  for (let s = 0; s < subset.length; s++) {
    const { train, trainExamples } = sketches[subset[s]!]!;
    examples += trainExamples;
    // By example and term: 1 + the sum of its rows' exp(-z). The margins drawn are small.
    const odds = new Map<string, number>();
    for (let r = 0; r < train.margin.length; r++) {
      let z = train.margin[r]!;
      for (let d = 0; d < train.dim; d++) z += train.sketch[r * train.dim + d]! * w[d]!;
      const key = `${train.example[r]} ${train.term[r]}`;
      odds.set(key, (odds.get(key) ?? 1) + Math.exp(-z));
    }
    for (const value of odds.values()) sum += (Math.log(value) * trainExamples) / train.examples;
  }
  let squares = 0;
  for (let d = 0; d < w.length; d++) squares += w[d]! ** 2;
  return sum / examples + ((lambda0 * 120) / examples) * meanSquare * squares;
}

for (const negatives of [1, 4])
  test(`the float64 solver ends at the minimum of the formula's objective: ${negatives} choice rows`, async () => {
    const sketches = randomSketches(6, { dim: 7, twoTerm: true, negatives, size: 3 });
    const solver = createReferenceSolver(buildProblem(sketches));
    const subsets = [[0], [1, 2, 4], [0, 1, 2, 3, 4, 5]];
    const fits = await solver.fit(subsets);
    subsets.forEach((subset, k) => {
      const w = fits.weights.slice(k * 7, (k + 1) * 7);
      const least = objective(sketches, subset, w, 3e-3);
      assert.ok(Math.abs(least - fits.objective[k]!) < 1e-9);
      const step = 1e-5 * Math.hypot(...w);
      for (let d = 0; d < 7; d++) {
        const slope =
          (objective(
            sketches,
            subset,
            w.map((x, e) => (e === d ? x + step : x)),
            3e-3,
          ) -
            objective(
              sketches,
              subset,
              w.map((x, e) => (e === d ? x - step : x)),
              3e-3,
            )) /
          (2 * step);
        assert.ok(Math.abs(slope) < 1e-5, `slope ${slope} along ${d} of subset ${k}`);
      }
      assert.ok(fits.gradientNorm[k]! <= 1e-6);
    });
  });

async function compare(
  problem: EstimationProblem,
  subsets: readonly ArrayLike<number>[],
  options: SurrogateOptions = {},
  folds?: readonly number[],
) {
  const exact = createReferenceSolver(problem, { ...options, tolerance: 1e-9 });
  const batched = await createBatchedSolver(problem, runtime, options);
  try {
    const ours = await batched.fit(subsets, { folds });
    const theirs = await exact.fit(subsets, { folds });
    for (let k = 0; k < subsets.length; k++) {
      assert.ok(
        ours.gradientNorm[k]! <= (options.tolerance ?? 1e-6),
        `gradient norm ${ours.gradientNorm[k]} of subset ${k}`,
      );
      const gap = Math.abs(ours.objective[k]! - theirs.objective[k]!);
      assert.ok(gap <= 1e-6 * Math.max(1, Math.abs(theirs.objective[k]!)), `objectives differ by ${gap}`);
    }
    const pairs = {
      client: Int32Array.from(subsets, (subset) => subset[0]!),
      weight: Int32Array.from(subsets, (_, k) => k),
    };
    const a = await batched.exampleLosses(ours.weights, pairs);
    const b = await exact.exampleLosses(theirs.weights, pairs);
    a.forEach((losses, p) => {
      losses.forEach((loss, e) => {
        assert.ok(Math.abs(loss - b[p]![e]!) < 1e-3 * (1 + b[p]![e]!), `loss ${loss} against ${b[p]![e]}`);
      });
    });
    const c = await batched.rowMargins(theirs.weights, pairs);
    const d = await exact.rowMargins(theirs.weights, pairs);
    c.forEach((margins, p) => {
      assert.equal(margins.length, d[p]!.length);
      margins.forEach((z, r) => {
        assert.ok(Math.abs(z - d[p]![r]!) < 1e-3 * (1 + Math.abs(z)), `margin ${z} against ${d[p]![r]}`);
      });
    });
    return ours;
  } finally {
    await batched.close();
  }
}

const regimes: Record<string, Omit<Draw, "examples">> = {
  "ordinary margins": { dim: 40 },
  "two terms": { dim: 40, twoTerm: true },
  "up to five negatives": { dim: 40, twoTerm: true, negatives: 5 },
  "negatives that all lead by far": { dim: 40, twoTerm: true, negatives: 3, margin: -10 },
  "the untuned model's format margins, where the curvature is next to nothing": { dim: 40, margin: -10 },
  "confident margins": { dim: 40, margin: 9 },
  "tiny sketches": { dim: 40, size: 1e-6 },
  "huge sketches": { dim: 40, size: 1e5 },
  "one dimension": { dim: 1 },
};
for (const [name, draw] of Object.entries(regimes))
  test(`the batched solver agrees with float64: ${name}`, async () => {
    const problem = buildProblem(randomSketches(9, draw));
    const plan = sampleSubsets(9, { size: 3, subsets: 30 });
    await compare(problem, [...plan.subsets, [0], [3, 5], [0, 1, 2, 3, 4, 5, 6, 7, 8]]);
  });

test("both solvers hold out each subset's fold of a cross-fitted problem, the same subset several times in one call", async () => {
  const pair = [0, 1];
  const negatives = { twoTerm: true, negatives: 4 };
  for (const terms of [{}, negatives]) {
    const several = crossFit(buildProblem(randomSketches(6, { dim: 20, ...terms })), 3);
    const { objective } = await compare(several, [pair, [2, 3, 4, 5], pair, pair], {}, [0, 2, 1, 2]);
    assert.equal(new Set([objective[0], objective[2], objective[3]]).size, 3);
  }
  const problem = crossFit(buildProblem(randomSketches(6, { dim: 20 })), 3);
  const subsets = [pair];
  await assert.rejects(async () => createReferenceSolver(problem).fit(subsets), /fold undefined/);
});

test("every example is held out in exactly one fold, and no training or validation row is lost", () => {
  const plain = buildProblem(randomSketches(5, { dim: 3, twoTerm: true }));
  const problem = crossFit(plain, 3, 7);
  problem.folds!.of.forEach((of, i) => {
    assert.equal(of.length, plain.train[i]!.examples + plain.validation[i]!.examples);
    assert.ok(of.every((fold) => fold >= 0 && fold < 3));
    assert.equal(problem.train[i]!.margin.length, plain.train[i]!.margin.length + plain.validation[i]!.margin.length);
  });
});

test("a small memory bound cuts the work into batches without changing the result", async () => {
  const problem = buildProblem(randomSketches(8, { dim: 10 }));
  const { subsets } = sampleSubsets(8, { size: 3, subsets: 25 });
  const results = [];
  for (const batchNumbers of [undefined, 8 * 12 * 3]) {
    const solver = await createBatchedSolver(problem, runtime, { batchNumbers });
    const fits = await solver.fit(subsets);
    const client = Int32Array.from({ length: 80 }, (_, p) => p % 8);
    const weight = Int32Array.from({ length: 80 }, (_, p) => p % 25);
    results.push({ fits, losses: await solver.exampleLosses(fits.weights, { client, weight }) });
    await solver.close();
  }
  const [whole, cut] = results;
  whole!.fits.weights.forEach((w, x) => {
    assert.ok(Math.abs(w - cut!.fits.weights[x]!) < 1e-3 * (1 + Math.abs(w)));
  });
  whole!.losses.forEach((losses, p) => {
    losses.forEach((loss, e) => {
      assert.ok(Math.abs(loss - cut!.losses[p]![e]!) < 1e-4 * (1 + loss));
    });
  });
});

test("a sketch too wide for the principal axes is solved without them", async () => {
  // Columns of zeros between the others change no objective, and the float64 solver takes the others alone.
  const [dim, gap] = [44, 25];
  const narrow = randomSketches(3, { dim }).map((each) => ({ ...each, train: each.validation, trainExamples: 4 }));
  const spread = (rows: LogisticRows): LogisticRows => {
    const sketch = new Float32Array(rows.sketch.length * gap);
    rows.sketch.forEach((value, at) => {
      sketch[at * gap] = value;
    });
    return { ...rows, dim: dim * gap, sketch };
  };
  const wide = narrow.map((each) => ({ ...each, train: spread(each.train), validation: spread(each.validation) }));
  const batched = await createBatchedSolver(buildProblem(wide), runtime, { tolerance: 1e-5 });
  const ours = await batched.fit([[0, 1, 2]]);
  const theirs = await createReferenceSolver(buildProblem(narrow), { tolerance: 1e-9 }).fit([[0, 1, 2]]);
  await batched.close();
  assert.ok(ours.gradientNorm[0]! <= 1e-5, `gradient norm ${ours.gradientNorm[0]}`);
  assert.ok(Math.abs(ours.objective[0]! - theirs.objective[0]!) <= 1e-6, `${ours.objective} and ${theirs.objective}`);
});

test("one client's huge sketches do not regularise the others to nothing", () => {
  const sketches = randomSketches(6, { dim: 8 });
  const { scale } = buildProblem(sketches);
  sketches[4] = {
    ...sketches[4]!,
    train: { ...sketches[4]!.train, sketch: sketches[4]!.train.sketch.map((x) => x * 1e6) },
  };
  const spoiled = buildProblem(sketches).scale;
  assert.ok(spoiled < 4 * scale, `${spoiled} against ${scale}`);
});

test("separable rows are bounded by lambda, and a larger lambda gives smaller weights", async () => {
  const rng = new SeededRng(4, "separable");
  const train = randomRows(rng, { examples: 8, dim: 60 });
  const problem = buildProblem([{ client: "a", trainExamples: 8, train, validation: train }]);
  const lengths: number[] = [];
  for (const lambda of [1e-3, 1e-1]) {
    const fits = await compare(problem, [[0]], { lambda });
    lengths.push(Math.hypot(...fits.weights));
  }
  assert.ok(Number.isFinite(lengths[0]) && lengths[0]! > lengths[1]!, lengths.join());
});

test("margins of 10,000 either way are solved to the tolerance", async () => {
  const sketches = randomSketches(4, { dim: 12 }).map((sketch, i) => ({
    ...sketch,
    train: {
      ...sketch.train,
      margin: sketch.train.margin.map((h, r) => ((r + i) % 3 === 0 ? -1e4 : (r + i) % 3 === 1 ? 1e4 : h)),
    },
  }));
  await compare(buildProblem(sketches), [[0, 1], [2, 3], [0, 1, 2, 3], [1]]);
});

test("margins of -100 at a lambda of 1e-6, where the gradient rises before it falls, are solved to the tolerance", async () => {
  const problem = buildProblem(randomSketches(6, { dim: 60, margin: -100 }));
  await compare(problem, [[0, 1, 2], [3, 4, 5], [1]], { lambda: 1e-6 });
});

test("groups of a few clients have the same solution on their rows alone as among all, with folds and negatives", async () => {
  const problem = crossFit(buildProblem(randomSketches(9, { dim: 20, twoTerm: true, negatives: 4 })), 2);
  const few = [[1, 7], [7], [1, 4, 7]];
  const alone = await compare(problem, few, {}, [1, 1, 0]);
  const all = await compare(problem, [...few, [0, 1, 2, 3, 4, 5, 6, 7, 8]], {}, [1, 1, 0, 1]);
  alone.weights.forEach((w, at) => {
    assert.ok(Math.abs(w - all.weights[at]!) < 1e-3 * (1 + Math.abs(w)), `${w} against ${all.weights[at]}`);
  });
});

test("identical examples and a client with one example are solved", async () => {
  const rng = new SeededRng(2, "same");
  const one = randomRows(rng, { examples: 1, dim: 6 });
  const many = {
    ...one,
    examples: 10,
    margin: new Float32Array(10).fill(one.margin[0]!),
    sketch: Float32Array.from({ length: 60 }, (_, x) => one.sketch[x % 6]!),
    example: Int32Array.from({ length: 10 }, (_, r) => r),
    term: new Uint8Array(10).fill(ROW_TERMS.answer),
  };
  const problem = buildProblem([
    { client: "one", trainExamples: 10, train: one, validation: one },
    { client: "many", trainExamples: 10, train: many, validation: one },
  ]);
  const fits = await compare(problem, [[0], [1], [0, 1]]);
  // One example that counts for ten is the same as ten identical ones.
  assert.ok(Math.abs(fits.objective[0]! - fits.objective[1]!) < 1e-6);
});

test("sketches of zeros give weights of zero", async () => {
  const rows = randomRows(new SeededRng(1), { examples: 4, dim: 5, size: 0 });
  const fits = await compare(buildProblem([{ client: "a", trainExamples: 4, train: rows, validation: rows }]), [[0]]);
  assert.ok(fits.weights.every((w) => w === 0));
});

test("lambda falls with a subset's examples", () => {
  const plan = compileSurrogate(buildProblem(randomSketches(2, { dim: 3 })));
  assert.ok(Math.abs(subsetLambda(plan, 1e-2, 120) - 1e-2) < 1e-12);
  assert.ok(Math.abs(subsetLambda(plan, 1e-2, 1200) - 1e-3) < 1e-12);
});

test("lambda's default path follows the form of the rows; a number is a path of one; a path descends", () => {
  const answers = buildProblem(randomSketches(2, { dim: 3 }));
  const path = compileSurrogate(answers).path;
  assert.equal(path[0], 1e-3);
  assert.ok(path.length > 1 && path.every((lambda, at) => at === 0 || lambda < path[at - 1]!));
  assert.equal(compileSurrogate(buildProblem(randomSketches(2, { dim: 3, twoTerm: true }))).path[0], 3e-3);
  assert.deepEqual(compileSurrogate(answers, { lambda: 0.02 }).path, [0.02]);
  assert.deepEqual(compileSurrogate(answers, { lambda: [1e-4, 1e-2] }).path, [1e-2, 1e-4]);
  for (const lambda of [0, [1e-3, 0]])
    assert.throws(() => compileSurrogate(answers, { lambda }), /lambda must be a positive number, got 0/);
  assert.throws(() => compileSurrogate(answers, { lambda: [] }), /lambda must be a positive number/);
});

test("subsets solved together, each at its lambda and from its start, end where each ends alone", async () => {
  const problem = buildProblem(randomSketches(6, { dim: 30 }));
  const subsets = [
    [0, 1],
    [2, 3, 4],
    [1, 5],
  ];
  const lambda = [1e-2, 1e-4, 1e-3];
  const batched = await createBatchedSolver(problem, runtime);
  const exact = createReferenceSolver(problem, { tolerance: 1e-9 });
  const from = await batched.fit(subsets, { lambda: [3e-2, 3e-2, 3e-2] });
  const ours = await batched.fit(subsets, { lambda, start: from.weights });
  const coarse = await batched.fit(subsets, { lambda, start: from.weights, tolerance: 1e-2 });
  for (const [k, subset] of subsets.entries()) {
    const alone = await exact.fit([subset], { lambda: [lambda[k]!] });
    assert.ok(ours.gradientNorm[k]! <= 1e-6 && coarse.gradientNorm[k]! <= 1e-2);
    assert.ok(Math.abs(ours.objective[k]! - alone.objective[0]!) < 1e-6);
    const theirs = await createReferenceSolver(problem, { lambda: lambda[k]! }).fit([subset]);
    assert.ok(Math.abs(theirs.objective[0]! - alone.objective[0]!) < 1e-9);
  }
  // A start at the optimum takes no step: the units of the start are those of the weights returned.
  const again = await batched.fit(subsets, { lambda, start: ours.weights, tolerance: 1e-5 });
  assert.equal(again.steps, 0);
  await batched.close();
});

const broken: Record<string, { change: (sketch: ClientSketch) => ClientSketch; code: string; says: RegExp }> = {
  "NaN in a margin": {
    change: (s) => ({ ...s, train: { ...s.train, margin: s.train.margin.map(() => Number.NaN) } }),
    code: "invalid_data",
    says: /client client-1, train rows: margin of row 0 must be finite.*NaN/,
  },
  "NaN in a sketch": {
    change: (s) => ({
      ...s,
      validation: { ...s.validation, sketch: s.validation.sketch.map((x, i) => (i === 4 ? Number.NaN : x)) },
    }),
    code: "invalid_data",
    says: /client client-1, validation rows: sketch of row 1, entry 1/,
  },
  "another width": {
    change: (s) => ({ ...s, train: randomRows(new SeededRng(0), { examples: 3, dim: 4 }) }),
    code: "shape_mismatch",
    says: /client client-1, train rows: sketch width is 4, expected 3/,
  },
  "a sketch cut short": {
    change: (s) => ({ ...s, train: { ...s.train, sketch: s.train.sketch.slice(1) } }),
    code: "shape_mismatch",
    says: /client client-1/,
  },
  "an example that is skipped": {
    change: (s) => ({ ...s, train: { ...s.train, example: s.train.example.map((e) => e + 1) } }),
    code: "invalid_data",
    says: /client client-1.*ascend/,
  },
  "fewer true examples than rows": {
    change: (s) => ({ ...s, trainExamples: 1 }),
    code: "invalid_data",
    says: /client client-1: trainExamples/,
  },
};
for (const [name, { change, code, says }] of Object.entries(broken))
  test(`${name} is refused, naming the client`, () => {
    const sketches = randomSketches(3, { dim: 3 });
    assert.doesNotThrow(() => checkClientSketch(sketches[1]!, 3));
    sketches[1] = change(sketches[1]!);
    const refused = (error: unknown) =>
      error instanceof KindredError && error.code === code && says.test(error.message);
    assert.throws(() => checkClientSketch(sketches[1]!, 3), refused);
    assert.throws(() => buildProblem(sketches), refused);
  });

test("an empty population and two clients of one name are refused", () => {
  assert.throws(() => buildProblem([]), /at least one client/);
  const [a, b] = randomSketches(2, { dim: 3 });
  assert.throws(() => buildProblem([a!, { ...b!, client: a!.client }]), /two sketches are named client-0/);
});
