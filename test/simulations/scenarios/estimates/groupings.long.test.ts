import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { DEMO_OPTIONS } from "../../../../simulations/demo/demo.js";
import { DEMO_MODEL } from "../../../../simulations/demo/demo-model.js";
import { plantedPopulation, populationLines } from "../../../../simulations/population/planted.js";
import { groupingsStudy } from "../../../../simulations/scenarios/estimates/groupings.js";
import { MEASUREMENTS } from "../../../../simulations/scenarios/harness/measurements.js";
import { runStudy, studyFolder } from "../../../support/studies.js";

test("a study of groupings finds the planted groups, tunes the groups of every method and continues from its measurements", async (t) => {
  const out = await studyFolder(t);
  const planted = (seed: number) => plantedPopulation({ seed, groupSizes: [3, 3, 3], test: 60 });
  const study = groupingsStudy({
    about: "test",
    title: "Test",
    population: async (seed) => populationLines(planted(seed)),
    model: () => DEMO_MODEL,
    options: { adapter: DEMO_OPTIONS.adapter, groups: 3 },
    tuning: { epochs: 12, batch: 8, learningRate: 0.03 },
  });
  const first = await runStudy(study, out);
  const [result] = first.data as [
    {
      partitions: { way: string; groups: number[][] }[];
      outcomes: { way: string; client: string; loss: number; estimate: number; calibrated: number }[];
    },
  ];
  const { clients } = planted(0);
  for (const { way, groups } of result.partitions) {
    assert.deepEqual(
      groups.flat().sort((a, b) => a - b),
      clients.map((_, i) => i),
      way,
    );
  }
  const loss = (way: string): number =>
    result.outcomes.filter((one) => one.way === way).reduce((sum, one) => sum + one.loss, 0) / clients.length;
  // Clients of one rule learn it together; clients of three rules together learn none of them.
  assert.ok(loss("kindred") < loss("shared"), `${loss("kindred")} of ${loss("shared")}`);
  // One scale for all methods: the same group has the same estimates under every method.
  const found = new Map<string, readonly [number, number]>();
  let met = 0;
  for (const { way, client, estimate, calibrated } of result.outcomes) {
    const { groups } = result.partitions.find((one) => one.way === way)!;
    const group = groups.find((group) => group.some((i) => clients[i]!.client === client))!;
    const key = `${client} in ${group}`;
    const before = found.get(key) ?? [estimate, calibrated];
    if (found.has(key)) met++;
    found.set(key, before);
    [estimate, calibrated].forEach((value, k) => {
      assert.ok(Math.abs(value / before[k]! - 1) < 1e-4, `${key}: ${value} and ${before[k]}`);
    });
  }
  assert.ok(met > 0);
  const measured = await readFile(join(out, "seed-0", MEASUREMENTS));
  assert.deepEqual(await runStudy(study, out), first);
  assert.deepEqual(await readFile(join(out, "seed-0", MEASUREMENTS)), measured);
});
