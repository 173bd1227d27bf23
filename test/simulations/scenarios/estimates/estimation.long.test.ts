import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { DEMO_OPTIONS } from "../../../../simulations/demo/demo.js";
import { DEMO_MODEL } from "../../../../simulations/demo/demo-model.js";
import { plantedPopulation, populationLines } from "../../../../simulations/population/planted.js";
import type { Agreement } from "../../../../simulations/scenarios/estimates/agreement.js";
import { computationSavedStudy } from "../../../../simulations/scenarios/estimates/computation-saved.js";
import { estimationErrorStudy } from "../../../../simulations/scenarios/estimates/estimation-error.js";
import { MEASUREMENTS } from "../../../../simulations/scenarios/harness/measurements.js";
import { runStudy, studyFolder } from "../../../support/studies.js";

const population = async (seed: number): Promise<string> =>
  populationLines(plantedPopulation({ seed, groupSizes: [2, 2, 2], test: 40 }));

test("a study of estimation errors tunes subsets, finds the effect of joint training, and continues from its measurements", async (t) => {
  const out = await studyFolder(t);
  const study = estimationErrorStudy({
    about: "test",
    title: "Test",
    population,
    model: () => DEMO_MODEL,
    options: { adapter: DEMO_OPTIONS.adapter },
    tuning: { epochs: 12, batch: 8, learningRate: 0.03 },
    subsets: 15,
    size: 2,
    widths: [64, 128],
    width: 128,
    repeated: 2,
  });
  const first = await runStudy(study, out);
  const [result] = first.data as [
    {
      alone: { validation: { loss: number }[] }[];
      estimates: { form: string; calibration: string; alone: number[] }[];
      agreement: { form: string; width: number; calibration: string; agreement: { validation: Agreement } }[];
    },
  ];
  assert.equal(result.estimates.length, 3 * 2 * 2);
  // Over the whole vocabulary margins foresee next to no loss, beyond what is calibrated.
  for (const { form, calibration, alone } of result.estimates)
    if (form !== "answer" && calibration !== "none")
      for (const [i, loss] of alone.entries()) {
        const real = result.alone[i]!.validation[0]!.loss;
        assert.ok(Math.abs(loss - real) < 1e-3 * real, `${loss}, not ${real}`);
      }
  // Clients of one planted house help each other, others harm: whatever else, that is seen.
  const lead = result.agreement.find(
    (row) => row.form === "negatives" && row.width === 128 && row.calibration === "none",
  )!;
  assert.ok(lead.agreement.validation.rankOfChange > 0.2, String(lead.agreement.validation.rankOfChange));
  const path = join(out, "seed-0", MEASUREMENTS);
  const measured = await readFile(path);
  // But for the time that solving took.
  const timeless = (findings: typeof first) =>
    JSON.parse(JSON.stringify(findings.data, (key, value) => (key === "seconds" ? 0 : value)));
  assert.deepEqual(timeless(await runStudy(study, out)), timeless(first));
  assert.deepEqual(await readFile(path), measured);
});

test("a study of computation saved counts the operations that tunings take", async (t) => {
  const study = computationSavedStudy({
    about: "test",
    title: "Test",
    model: () => DEMO_MODEL,
    epochs: 10,
    batch: 8,
    checked: 2,
    cases: [{ name: "planted", population, options: {}, forms: ["answer"], subsets: 8, size: 3 }],
  });
  const { data } = await runStudy(study, await studyFolder(t));
  const [{ tuning, checked, ours }] = data as [
    {
      tuning: number;
      checked: { counted: number; run: number }[];
      ours: { sketching: { flops: number }; solving: { flops: number } }[];
    },
  ];
  assert.equal(checked.length, 2);
  for (const { counted, run } of checked) assert.equal(counted, run);
  // Ten passes of eight subsets of three of six clients: forty passes over all rows, of which the estimate takes about one.
  const [{ sketching, solving }] = ours as [(typeof ours)[number]];
  assert.ok(tuning > 10 * sketching.flops && solving.flops > 0, `${tuning}, ${sketching.flops}, ${solving.flops}`);
});
