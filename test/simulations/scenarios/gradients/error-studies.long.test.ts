/** The studies of the approximation's and the sketch's errors, whole, on a model that is trained in this repository. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { DEMO_MODEL } from "../../../../simulations/demo/demo-model.js";
import { plantedPopulation, populationLines } from "../../../../simulations/population/planted.js";
import { distortionStudy } from "../../../../simulations/scenarios/gradients/distortion.js";
import type { Distortion } from "../../../../simulations/scenarios/gradients/projections.js";
import { taylorStudy } from "../../../../simulations/scenarios/gradients/taylor.js";
import { MEASUREMENTS } from "../../../../simulations/scenarios/harness/measurements.js";
import { runStudy, studyFolder } from "../../../support/studies.js";

const population = async (seed: number) =>
  populationLines(plantedPopulation({ seed, groupSizes: [1, 1], train: 12, test: 4 }));
const common = { about: "test", title: "Test", population, model: () => DEMO_MODEL };

test("a study of the approximation tunes each kind and dataset, has a small error at the shortest step, and continues from its measurements", async (t) => {
  const out = await studyFolder(t);
  const study = taylorStudy({
    ...common,
    kinds: ["LoRA", "Houlsby", "QLoRA"],
    options: {},
    tuning: { epochs: 4, batch: 8, learningRate: 0.01 },
  });
  const first = await runStudy(study, out);
  const { cells, ways } = first.data as {
    cells: { kind: string; margin: string; length: number; linear: { ofChange: { value: number } } }[];
    ways: { ways: { group: string[]; loss: { before: number; after: number }; slopes: number }[] }[];
  };
  for (const way of ways.flatMap((one) => one.ways)) {
    assert.ok(way.loss.after < way.loss.before, `${way.group}: ${way.loss.after} of ${way.loss.before}`);
    assert.ok(way.slopes < 0.1, `${way.group}: gradient and finite difference are ${way.slopes} apart`);
  }
  assert.equal(ways[0]!.ways.length, 3);
  for (const kind of ["LoRA", "Houlsby", "QLoRA"]) {
    for (const margin of ["answer", "choice"]) {
      const own = cells.filter((cell) => cell.kind === kind && cell.margin === margin);
      const [shortest] = own.sort((a, b) => a.length - b.length);
      const { value } = shortest!.linear.ofChange;
      assert.ok(value < 0.2, `${kind}, ${margin}: ${value} of the change`);
    }
  }
  const path = join(out, "seed-0", "qlora", MEASUREMENTS);
  const measured = await readFile(path);
  assert.deepEqual(await runStudy(study, out), first);
  assert.deepEqual(await readFile(path), measured);
});

test("a study of the sketch's distortion finds it as close to theory as the dense projection", async (t) => {
  const out = await studyFolder(t);
  const { data } = await runStudy(distortionStudy({ ...common, options: {} }), out);
  const results = data as {
    widths: number[];
    theory: Distortion[];
    ways: Record<"structured" | "dense", { distortions: Distortion[][] }>;
  }[];
  assert.equal(results.length, 2);
  for (const { widths, theory, ways } of results) {
    for (const way of ["structured", "dense"] as const) {
      widths.forEach((width, at) => {
        const found = ways[way].distortions[at]!;
        const error = found.reduce((sum, { inner }) => sum + inner.mean / found.length, 0);
        assert.ok(error / theory[at]!.inner.mean < 1.5, `${way}, ${width}: ${error}, theory ${theory[at]!.inner.mean}`);
      });
    }
  }
});
