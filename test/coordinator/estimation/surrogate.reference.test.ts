import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { createBatchedSolver } from "../../../coordinator/estimation/batched.js";
import { mean } from "../../../coordinator/estimation/evaluate.js";
import { buildProblem } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { asset } from "../../../shared/base/assets.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import type { ClientSketch, LogisticRows } from "../../../shared/sketch/types.js";

interface Rows {
  margin: number[];
  sketch: number[][];
  example: number[];
  term: number[];
}
interface Kind {
  clients: { train: Rows; validation: Rows }[];
  optima: {
    subset: number[];
    lambda: number;
    examples: number;
    w: number[];
    objective: number;
    withoutMargins: number;
    validationLosses: number[];
  }[];
}
const fixture = JSON.parse(readFileSync(asset("test", "fixtures", "estimation", "regression.json"), "utf8")) as {
  dim: number;
  single: Kind;
  pairs: Kind;
};

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

function rows(part: Rows): LogisticRows {
  return {
    dim: fixture.dim,
    examples: part.example.at(-1)! + 1,
    margin: Float32Array.from(part.margin),
    sketch: Float32Array.from(part.sketch.flat()),
    example: Int32Array.from(part.example),
    term: Uint8Array.from(part.term),
  };
}

for (const kind of ["single", "pairs"] as const)
  for (const backend of ["float64", "batched"] as const)
    test(`the ${backend} solver finds scipy's optima and validation losses: ${kind} rows per example`, async () => {
      const { clients, optima } = fixture[kind];
      const sketches: ClientSketch[] = clients.map(({ train, validation }, i) => ({
        client: `client-${i}`,
        trainExamples: rows(train).examples,
        train: rows(train),
        validation: rows(validation),
      }));
      const problem = buildProblem(sketches);
      const solver =
        backend === "float64" ? createReferenceSolver(problem) : await createBatchedSolver(problem, runtime);
      for (const { subset, lambda, examples, w, objective, validationLosses } of optima) {
        // The fixture's lambda is absolute; ours is relative to the mean squared norm of g, at 120 examples.
        const fits = await solver.fit([subset], { lambda: [(lambda * examples) / (120 * problem.scale ** 2)] });
        // Margins and sketches are float32 here, float64 there: 6e-8 relative.
        assert.ok(Math.abs(fits.objective[0]! - objective) < 1e-6, `${subset} ${lambda}`);
        const strongConvexity = 2 * lambda;
        const distance = Math.hypot(...fits.weights.map((x, d) => x - w[d]!));
        const bound = (4e-6 * problem.scale) / strongConvexity + 1e-5 * Math.hypot(...w);
        assert.ok(distance <= bound, `${subset} ${lambda}: weights differ by ${distance}, bound ${bound}`);
        const losses = await solver.exampleLosses(fits.weights, {
          client: Int32Array.from(clients, (_, i) => i),
          weight: new Int32Array(clients.length),
        });
        losses.forEach((examples, i) => {
          const gap = Math.abs(mean(examples) - validationLosses[i]!);
          assert.ok(gap < 1e-3 * (1 + validationLosses[i]!), `${subset} ${lambda} client ${i}: ${gap}`);
        });
      }
      await solver.close();
    });

test("objectives without margins are scikit-learn's within 1e-6, every gradient below 1e-6, all subsets solved at once", async () => {
  for (const { clients, optima } of [fixture.single, fixture.pairs]) {
    const sketches: ClientSketch[] = clients.map(({ train, validation }, i) => {
      const part = rows({ ...train, margin: train.margin.map(() => 0) });
      return { client: `client-${i}`, trainExamples: part.examples, train: part, validation: rows(validation) };
    });
    const problem = buildProblem(sketches);
    const solver = await createBatchedSolver(problem, runtime);
    const fits = await solver.fit(
      optima.map(({ subset }) => subset),
      { lambda: optima.map(({ lambda, examples }) => (lambda * examples) / (120 * problem.scale ** 2)) },
    );
    optima.forEach(({ subset, lambda, withoutMargins }, k) => {
      const gap = Math.abs(fits.objective[k]! - withoutMargins);
      assert.ok(gap < 1e-6, `${subset} ${lambda}: ${gap}`);
      assert.ok(fits.gradientNorm[k]! <= 1e-6);
    });
    await solver.close();
  }
});
