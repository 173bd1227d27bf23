/**
 * What the demo shows, on one seed that the defaults were not chosen by: planted groups found, and every client served better
 * than by one adapter for all; and without conflict one group.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeAtomically } from "../../../shared/base/atomic.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { simulationPlan } from "../../../shared/config/config.js";
import { DEMO_OPTIONS, runDemo } from "../../../simulations/demo/demo.js";
import { DEMO_MODEL } from "../../../simulations/demo/demo-model.js";
import { plantedPopulation, populationLines } from "../../../simulations/population/planted.js";
import { runSimulation } from "../../../simulations/simulate.js";

const SEED = 7;
const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };

test("the demo finds the planted groups and beats both the shared adapter and one per client", async () => {
  const out = await mkdtemp(join(tmpdir(), "kindred-demo-"));
  try {
    const { planted, methods } = await runDemo({ seed: SEED, out, force: true, ...context });
    assert.ok(planted!.adjustedRandIndex >= 0.9, `adjusted Rand index ${planted!.adjustedRandIndex}`);
    const mean = (method: "shared" | "local" | "kindred"): number => methods[method]!.mean.accuracy as number;
    assert.ok(
      mean("kindred") >= mean("shared") + 0.1,
      `${mean("kindred")} against the shared adapter's ${mean("shared")}`,
    );
    assert.ok(mean("kindred") >= mean("local"), `${mean("kindred")} against local ${mean("local")}`);
    assert.ok(methods.kindred!.mean.loss <= 1.002 * methods.shared!.mean.loss);
    for (const [client, { accuracy }] of Object.entries(methods.kindred!.clients)) {
      const base = methods.base!.clients[client]!.accuracy as number;
      assert.ok((accuracy as number) >= base - 0.02, `${client}: ${accuracy}, the base model has ${base}`);
    }
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});

test("the same population without conflict ends with one group", async () => {
  const out = await mkdtemp(join(tmpdir(), "kindred-control-"));
  try {
    const population = join(out, "population.jsonl");
    await writeAtomically(population, populationLines(plantedPopulation({ seed: SEED, conflict: false, test: 20 })));
    const options = { ...DEMO_OPTIONS, training: { ...DEMO_OPTIONS.training, epochs: 2 } };
    const plan = simulationPlan({
      title: "control",
      model: DEMO_MODEL,
      population,
      seed: SEED,
      ...options,
      compare: [],
    });
    const report = await runSimulation(plan, { out: join(out, "run"), force: false, ...context });
    assert.equal(report.groups.length, 1, report.grouping.reason);
  } finally {
    await rm(out, { recursive: true, force: true });
  }
});
