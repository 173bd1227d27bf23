import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { silentLog } from "../../../../shared/base/log.js";
import { silentProgress } from "../../../../shared/base/progress.js";
import { simulationPlan } from "../../../../shared/config/config.js";
import { DEMO_MODEL } from "../../../../simulations/demo/demo-model.js";
import { plantedPopulation, populationLines } from "../../../../simulations/population/planted.js";
import { Testbed } from "../../../../simulations/scenarios/harness/testbed.js";

test("counted operations of a tuning equal those of its run, for any passes and batches", async (t) => {
  const out = await mkdtemp(join(tmpdir(), "kindred-testbed-"));
  t.after(() => rm(out, { recursive: true, force: true }));
  const population = join(out, "population.jsonl");
  await writeFile(population, populationLines(plantedPopulation({ seed: 0, groupSizes: [2] })));
  const plan = simulationPlan({ model: DEMO_MODEL, population, title: "Test", seed: 0 });
  const signal = new AbortController().signal;
  const testbed = await Testbed.open(plan, { log: silentLog, progress: silentProgress, signal });
  t.after(() => testbed.close());
  for (const [subset, epochs, batch] of [
    [[0], 1, 8],
    [[0, 1], 2.5, 5],
  ] as const) {
    const tuning = { epochs, batch, learningRate: 0.01, seed: 3 };
    const { flops } = await testbed.tune(subset, tuning);
    assert.equal(testbed.tuningFlops(subset, tuning), flops);
    assert.ok(flops > 0);
  }
});

test("the setting of measurements depends on the rows and not on their folder", async (t) => {
  const signal = new AbortController().signal;
  const setting = async (seed: number) => {
    const out = await mkdtemp(join(tmpdir(), "kindred-testbed-"));
    t.after(() => rm(out, { recursive: true, force: true }));
    const population = join(out, "population.jsonl");
    await writeFile(population, populationLines(plantedPopulation({ seed, groupSizes: [2] })));
    const plan = simulationPlan({ model: DEMO_MODEL, population, title: "Test", seed: 0 });
    const testbed = await Testbed.open(plan, { log: silentLog, progress: silentProgress, signal });
    t.after(() => testbed.close());
    return testbed.setting;
  };
  const here = await setting(0);
  assert.deepEqual(await setting(0), here);
  assert.notDeepEqual(await setting(1), here);
});
