import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { DEMO_MODEL } from "../../../../simulations/demo/demo-model.js";
import { planOf, type StudySetup } from "../../../../simulations/scenarios/harness/setup.js";
import { studyFolder } from "../../../support/studies.js";

test("a study's rows stay in its folder: other rows are refused, the same rows are reused, force replaces them", async (t) => {
  const out = await studyFolder(t);
  const setup = (rows: string): StudySetup => ({
    title: "Test",
    population: async () => rows,
    model: () => DEMO_MODEL,
    options: {},
  });
  const plan = (rows: string, force = false) =>
    planOf(setup(rows), { out, force, seed: 0, seeds: 1, model: undefined });
  const { population } = await plan("one\n");
  assert.equal(population, join(out, "population.jsonl"));
  await plan("one\n");
  await assert.rejects(() => plan("two\n"), /population\.jsonl: has other rows than this study; choose another --out/);
  assert.equal(await readFile(population as string, "utf8"), "one\n");
  await plan("two\n", true);
  assert.equal(await readFile(population as string, "utf8"), "two\n");
});
