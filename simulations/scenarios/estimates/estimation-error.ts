/**
 * The error of the estimate of fine-tuning: random subsets of real datasets are tuned and scored, and the same subsets are estimated
 * from sketches, for several widths and forms of margins. It knows nothing of groups.
 */
import { join } from "node:path";
import { calibrated, type RealLosses } from "../../../coordinator/estimation/calibration.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { openEstimator } from "../../../coordinator/stages/affinities.js";
import type { JobContext } from "../../../shared/base/command.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { MeteredRuntime } from "../../../shared/runtimes/metered.js";
import { type ClientSketch, type LogisticRows, MARGINS } from "../../../shared/sketch/types.js";
import { Measurements } from "../harness/measurements.js";
import { planOf } from "../harness/setup.js";
import { sketchesOf } from "../harness/sketches.js";
import { bySeed, type Study, type StudyJob } from "../harness/study.js";
import { Testbed } from "../harness/testbed.js";
import { findingsOf } from "./error-findings.js";
import {
  CALIBRATIONS,
  type ErrorCase,
  type Form,
  type SeedResult,
  type SubsetEstimates,
  type Truth,
} from "./error-results.js";

export function estimationErrorStudy(given: ErrorCase): Study {
  return {
    about: given.about,
    run: async (job, context) => {
      const results = await bySeed(job, (own) => oneSeed(given, own, context));
      return findingsOf(given, job.model ?? given.model(), results);
    },
  };
}

async function oneSeed(given: ErrorCase, job: StudyJob, context: JobContext): Promise<SeedResult> {
  const { seed, out, force } = job;
  const plan = await planOf(given, job);
  const testbed = await Testbed.open(plan, context);
  try {
    const { names } = testbed;
    const tuning = { ...given.tuning, seed };
    const kept = await Measurements.open(out, { ...testbed.setting, tuning }, force);
    const tuned = (subset: readonly number[], order = seed): Promise<Truth> =>
      kept.of({ tuned: subset.map((i) => names[i]!), order }, async () => {
        const { values, flops, seconds } = await testbed.tune(subset, { ...tuning, seed: order });
        const validation = await testbed.score(values, subset, "validation");
        return { flops, seconds, validation, test: await testbed.score(values, subset, "test") };
      });
    const { subsets: drawn } = sampleSubsets(names.length, { size: given.size, subsets: given.subsets, seed });
    const subsets = drawn.map((subset) => Array.from(subset));
    const stage = context.progress.stage("tune subsets", names.length + 1 + subsets.length + given.repeated);
    const all = async (of: readonly (readonly number[])[], order?: number): Promise<Truth[]> => {
      const truths: Truth[] = [];
      for (const subset of of) {
        truths.push(await tuned(subset, order));
        stage.tick();
      }
      return truths;
    };
    const everyone = names.map((_, i) => i);
    const alone = await all(everyone.map((i) => [i]));
    const [common] = await all([everyone]);
    const truth = await all(subsets);
    const again = await all(subsets.slice(0, given.repeated), seed + 1);
    stage.done();
    const real: RealLosses = {
      own: new Map(names.map((name, i) => [name, alone[i]!.validation[0]!.loss])),
      common: new Map(names.map((name, i) => [name, common!.validation[i]!.loss])),
    };
    const estimates: SubsetEstimates[] = [];
    for (const form of MARGINS) {
      const estimation = { ...plan.estimation, margin: form, dim: Math.max(...given.widths) };
      const folder = join(out, `sketches-${form}`);
      const { sketches, flops: sketching } = await sketchesOf({ ...plan, estimation }, { folder, force }, context);
      for (const width of given.widths)
        estimates.push(
          ...(await estimated(
            plan,
            sketches.map((sketch) => folded(sketch, width)),
            {
              subsets,
              real,
              testbed,
              of: { form, width, sketching },
              signal: context.signal,
            },
          )),
        );
    }
    return { seed, names, subsets, truth, alone, common: common!, again, estimates };
  } finally {
    await testbed.close();
  }
}

/** A count sketch folded onto a narrower one is a sketch of that width: entry j goes to j mod the width. */
function folded(sketch: ClientSketch, width: number): ClientSketch {
  const fold = (rows: LogisticRows): LogisticRows => {
    const out = new Float32Array(rows.margin.length * width);
    rows.sketch.forEach((value, at) => {
      const place = Math.floor(at / rows.dim) * width + ((at % rows.dim) % width);
      out[place] = out[place]! + value;
    });
    return { ...rows, dim: width, sketch: out };
  };
  return { ...sketch, train: fold(sketch.train), validation: fold(sketch.validation) };
}

/** The estimates with each of CALIBRATIONS. */
async function estimated(
  plan: SimulationPlan,
  sketches: readonly ClientSketch[],
  {
    subsets,
    real,
    testbed,
    of,
    signal,
  }: {
    readonly subsets: readonly (readonly number[])[];
    readonly real: RealLosses;
    readonly testbed: Testbed;
    readonly of: { readonly form: Form; readonly width: number; readonly sketching: number };
    readonly signal: AbortSignal;
  },
): Promise<SubsetEstimates[]> {
  const { form, width, sketching } = of;
  const runtime = new MeteredRuntime(testbed.runtime);
  const spent = () => ({ flops: runtime.flops, ms: performance.now() });
  const begun = spent();
  const plain = await openEstimator(sketches, plan.estimation, { seed: plan.seed, runtime, signal });
  const opened = spent();
  try {
    const estimates: SubsetEstimates[] = [];
    for (const calibration of CALIBRATIONS) {
      const before = spent();
      const solver = calibration === "none" ? plain : await calibrated(plain, real);
      const fits = await fitHeldOut(solver, subsets);
      const after = spent();
      const solving = opened.flops - begun.flops + after.flops - before.flops;
      const seconds = (opened.ms - begun.ms + after.ms - before.ms) / 1000;
      const alone = memberValues(
        await fitHeldOut(
          solver,
          sketches.map((_, i) => [i]),
        ),
      );
      estimates.push({
        form,
        width,
        calibration,
        losses: memberValues(fits).map((values) => Array.from(values, (value) => -value)),
        alone: alone.map(([value]) => -value!),
        lambdas: Array.from(fits.lambda),
        flops: { sketching, solving },
        seconds,
      });
    }
    return estimates;
  } finally {
    await plain.close();
  }
}
