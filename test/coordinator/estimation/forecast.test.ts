import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { mean, memberValues } from "../../../coordinator/estimation/evaluate.js";
import { forecastOf, predictions } from "../../../coordinator/estimation/forecast.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { buildProblem, crossFit } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { Guesses } from "../../../shared/base/macro-f1.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { ROW_TERMS } from "../../../shared/sketch/types.js";
import { randomRows, randomSketches } from "./sketches.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

test("an example is correct where the right answer beats every negative; one without choices is neither correct nor wrong", () => {
  const { format, choice, answer } = ROW_TERMS;
  const rows = {
    examples: 4,
    example: Int32Array.of(0, 0, 1, 1, 2, 2, 2, 3),
    term: Uint8Array.of(format, choice, format, choice, choice, choice, choice, answer),
  };
  const found = predictions(rows, [-3, 0.5, 2, -0.1, 1, -1, 2, 4]);
  assert.deepEqual(
    found.map(({ correct }) => correct),
    [true, false, false, undefined],
  );
  assert.ok(Math.abs(found[0]!.loss - (Math.log1p(Math.exp(3)) + Math.log1p(Math.exp(-0.5)))) < 1e-12);
});

test("a wrong example is predicted as the negative with the largest lead, where its labels are known", () => {
  const { format, choice } = ROW_TERMS;
  const rows = {
    examples: 4,
    example: Int32Array.of(0, 0, 0, 1, 1, 2, 2, 3),
    term: Uint8Array.of(format, choice, choice, choice, choice, choice, choice, choice),
    labels: { answer: Int32Array.of(5, 2, 2, -1), negative: Int32Array.of(-1, 2, 7, 5, 7, 5, -1, -1) },
  };
  const found = predictions(rows, [-9, -0.2, -0.1, 0.3, 0.1, -1, -2, -1]);
  assert.deepEqual(
    found.map(({ label, predicted }) => [label, predicted]),
    [
      [5, 2],
      [2, 2],
      [2, -1],
      [-1, -1],
    ],
  );
});

test("macro-F1 is the mean over clients with labels, and its standard error is that of a bootstrap", async () => {
  const sketches = randomSketches(4, { dim: 6, twoTerm: true }).map((sketch, i) => {
    const rows = randomRows(new SeededRng(3, i), { examples: 30, dim: 6, twoTerm: true });
    const answer = Int32Array.from({ length: 30 }, (_, e) => e % 2);
    const negative = rows.example.map((e, r) => (rows.term[r] === ROW_TERMS.choice ? 1 - answer[e]! : -1));
    // One client sends no labels.
    return i === 3 ? sketch : { ...sketch, validation: { ...rows, labels: { answer, negative } } };
  });
  const problem = crossFit(buildProblem(sketches), 2);
  const solver = createReferenceSolver(problem, { lambda: 1e-2 });
  const { macroF1 } = await forecastOf(solver, [[0, 1, 2, 3]], 11);
  const { weights } = await fitHeldOut(solver, [[0, 1, 2, 3]]);
  const answers = await Promise.all(
    [0, 1, 2].map(async (i) => {
      const labels: number[] = [];
      const guesses: number[] = [];
      for (const [fold, all] of weights.entries()) {
        const [margins] = await solver.rowMargins(all, { client: Int32Array.of(i), weight: Int32Array.of(0) });
        predictions(problem.validation[i]!, margins!).forEach(({ label, predicted }, e) => {
          if (label < 0 || problem.folds!.of[i]![e] !== fold) return;
          labels.push(label);
          guesses.push(predicted);
        });
      }
      assert.equal(labels.length, 30);
      return new Guesses(labels, guesses);
    }),
  );
  assert.ok(Math.abs(macroF1!.value - mean(Float64Array.from(answers, (each) => each.macroF1()))) < 1e-12);
  // The clients are resampled independently: their variances add up. 4,000 draws against 400, which give a deviation to 3.5 %.
  const rng = new SeededRng(5, "bootstrap");
  const variances = answers.map((each) => {
    const drawn = Float64Array.from({ length: 4000 }, () =>
      each.macroF1(Array.from({ length: 30 }, () => rng.int(30))),
    );
    const centre = mean(drawn);
    return mean(drawn.map((x) => (x - centre) ** 2));
  });
  const deviation = Math.sqrt(variances.reduce((sum, variance) => sum + variance, 0)) / 3;
  assert.ok(deviation > 0.02);
  assert.ok(Math.abs(macroF1!.standardError! / deviation - 1) < 0.12, `${macroF1!.standardError} against ${deviation}`);
});

for (const folds of [1, 3])
  test(`loss and accuracy of a partition are those of its members' held-out examples, ${folds} fold(s), on both solvers`, async () => {
    const problem = crossFit(buildProblem(randomSketches(6, { dim: 9, twoTerm: true })), folds);
    const partition = [
      [0, 3, 5],
      [1, 2, 4],
    ];
    const exact = createReferenceSolver(problem, { lambda: 1e-2 });
    const batched = await createBatchedSolver(problem, runtime, { lambda: 1e-2 });
    const theirs = await forecastOf(exact, partition);
    const ours = await forecastOf(batched, partition);
    const values = memberValues(await fitHeldOut(exact, partition)).flatMap((group) => [...group]);
    assert.ok(Math.abs(theirs.loss.value + mean(Float64Array.from(values))) < 1e-9);
    for (const key of ["value", "standardError"] as const) {
      assert.ok(Math.abs(ours.loss[key]! - theirs.loss[key]!) < 1e-4);
      assert.ok(Math.abs(ours.accuracy![key]! - theirs.accuracy![key]!) < 1e-9);
    }
    assert.ok(theirs.accuracy!.value > 0 && theirs.accuracy!.value < 1);
    await batched.close();
  });

test("rows without choices have neither accuracy nor F1", async () => {
  const solver = createReferenceSolver(buildProblem(randomSketches(3, { dim: 4 })), { lambda: 1e-2 });
  assert.deepEqual(Object.keys(await forecastOf(solver, [[0, 1, 2]])), ["loss", "clients"]);
});

test("the standard error of a forecast is that of a bootstrap over each client's examples", async () => {
  const sketches = randomSketches(5, { dim: 6, twoTerm: true }).map((sketch) => ({
    ...sketch,
    validation: sketch.train,
  }));
  const solver = createReferenceSolver(buildProblem(sketches.slice(1)), { lambda: 1e-2 });
  const { loss } = await forecastOf(solver, [[0, 1, 2, 3]]);
  const { losses } = await fitHeldOut(solver, [[0, 1, 2, 3]]);
  const rng = new SeededRng(1, "bootstrap");
  const draws = Float64Array.from({ length: 4000 }, () => {
    let sum = 0;
    for (const examples of losses[0]!) {
      // With n - 1 draws, so that the deviation is the unbiased one (McCarthy and Snowden 1985).
      const drawn = examples.length - 1;
      for (let e = 0; e < drawn; e++) sum += examples[rng.int(examples.length)]! / drawn / losses[0]!.length;
    }
    return sum;
  });
  const centre = mean(draws);
  const deviation = Math.sqrt(mean(draws.map((x) => (x - centre) ** 2)));
  // 4,000 draws give a deviation to 1.1 %; the bound is four times that.
  assert.ok(Math.abs(loss.standardError! / deviation - 1) < 0.045, `${loss.standardError} against ${deviation}`);
});
