/**
 * The cost of estimating subsets against that of tuning them: tunings counted from their graphs for the same rows and batches, with a few
 * of them run as a check of the count; all costs of the estimate measured. It knows nothing of the estimate's quality.
 */
import { join } from "node:path";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { openEstimator } from "../../../coordinator/stages/affinities.js";
import type { JobContext } from "../../../shared/base/command.js";
import { fixed, flops as flopsText } from "../../../shared/base/format.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { MeteredRuntime } from "../../../shared/runtimes/metered.js";
import { Measurements } from "../harness/measurements.js";
import { planOf, type StudySetup } from "../harness/setup.js";
import { sketchesOf } from "../harness/sketches.js";
import type { Finding, Findings, Study, StudyJob } from "../harness/study.js";
import { Testbed } from "../harness/testbed.js";

type Form = SimulationPlan["estimation"]["margin"];

export interface SavedCase extends Pick<StudySetup, "population" | "options"> {
  readonly name: string;
  readonly forms: readonly Form[];
  readonly subsets: number;
  readonly size: number;
}

export interface SavedStudy extends Pick<StudySetup, "title" | "model"> {
  readonly about: string;
  /** Of the real tunings. */
  readonly epochs: number;
  readonly batch: number;
  /** Number of subsets really tuned, for one pass, to check the count. */
  readonly checked: number;
  readonly cases: readonly SavedCase[];
}

interface Checked {
  readonly counted: number;
  readonly run: number;
  readonly seconds: number;
}

interface Ours {
  readonly form: Form;
  readonly dim: number;
  readonly sketching: { readonly flops: number; readonly seconds: number | null };
  readonly solving: { readonly flops: number; readonly seconds: number };
}

interface CaseResult {
  readonly name: string;
  readonly clients: number;
  readonly rows: { readonly train: number; readonly validation: number };
  readonly subsets: number;
  readonly size: number;
  /** Operations of all subsets' real tunings. */
  readonly tuning: number;
  readonly checked: readonly Checked[];
  readonly ours: readonly Ours[];
}

export function computationSavedStudy(given: SavedStudy): Study {
  return {
    about: given.about,
    oneSeed: true,
    run: async (job, context) => {
      const results: CaseResult[] = [];
      for (const [at, one] of given.cases.entries())
        results.push(await measured(given, one, { ...job, out: join(job.out, `case-${at}`) }, context));
      return findingsOf(given, job, results);
    },
  };
}

async function measured(study: SavedStudy, given: SavedCase, job: StudyJob, context: JobContext): Promise<CaseResult> {
  const { seed, out, force } = job;
  const plan = await planOf({ ...given, title: study.title, model: study.model }, job);
  const testbed = await Testbed.open(plan, context);
  try {
    const { subsets } = sampleSubsets(testbed.names.length, { size: given.size, subsets: given.subsets, seed });
    const lists = subsets.map((subset) => Array.from(subset));
    const { epochs, batch } = study;
    const tuning = lists.reduce((sum, subset) => sum + testbed.tuningFlops(subset, { epochs, batch, seed }), 0);
    const { estimation } = plan;
    const kept = await Measurements.open(out, { ...testbed.setting, batch, subsets: lists, estimation }, force);
    const checked: Checked[] = [];
    for (const subset of lists.slice(0, study.checked)) {
      const once = { epochs: 1, batch, learningRate: 1e-3, seed };
      const { flops, seconds } = await kept.of({ checked: subset }, async () => {
        const tuned = await testbed.tune(subset, once);
        return { flops: tuned.flops, seconds: tuned.seconds };
      });
      checked.push({ counted: testbed.tuningFlops(subset, once), run: flops, seconds });
    }
    const ours: Ours[] = [];
    for (const form of given.forms)
      ours.push(await kept.of({ form }, () => estimated(plan, form, { lists, testbed, out, force }, context)));
    const count = (split: "train" | "validation") =>
      testbed.rows(
        testbed.names.map((_, i) => i),
        split,
      ).length;
    return {
      name: given.name,
      clients: testbed.names.length,
      rows: { train: count("train"), validation: count("validation") },
      subsets: lists.length,
      size: given.size,
      tuning,
      checked,
      ours,
    };
  } finally {
    await testbed.close();
  }
}

async function estimated(
  plan: SimulationPlan,
  form: Form,
  {
    lists,
    testbed,
    out,
    force,
  }: {
    readonly lists: readonly (readonly number[])[];
    readonly testbed: Testbed;
    readonly out: string;
    readonly force: boolean;
  },
  context: JobContext,
): Promise<Ours> {
  const estimation = { ...plan.estimation, margin: form };
  const folder = join(out, `sketches-${form}`);
  const started = performance.now();
  const { sketches, flops, kept } = await sketchesOf({ ...plan, estimation }, { folder, force }, context);
  const sketched = performance.now();
  const runtime = new MeteredRuntime(testbed.runtime);
  const begun = performance.now();
  const solver = await openEstimator(sketches, estimation, { seed: plan.seed, runtime, signal: context.signal });
  try {
    memberValues(await fitHeldOut(solver, lists));
    return {
      form,
      dim: estimation.dim,
      // The time of sketches from an earlier run is unknown.
      sketching: { flops, seconds: kept === 0 ? (sketched - started) / 1000 : null },
      solving: { flops: runtime.flops, seconds: (performance.now() - begun) / 1000 },
    };
  } finally {
    await solver.close();
  }
}

function findingsOf(given: SavedStudy, { model, seed }: StudyJob, results: readonly CaseResult[]): Findings {
  return {
    title: given.title,
    facts: [
      ["model", model ?? given.model()],
      ["passes of a real tuning", String(given.epochs)],
      ["batch", String(given.batch)],
      ["seed", String(seed)],
    ],
    findings: results.map(caseFinding(given.epochs)),
    data: results,
  };
}

const caseFinding =
  (epochs: number) =>
  ({ name, clients, rows, subsets, size, tuning, checked, ours }: CaseResult): Finding => {
    const saved = ({ sketching, solving }: Ours) => tuning / (sketching.flops + solving.flops);
    const off = Math.max(...checked.map(({ counted, run }) => Math.abs(counted - run) / run));
    const rate =
      checked.reduce((sum, { run }) => sum + run, 0) / checked.reduce((sum, { seconds }) => sum + seconds, 0);
    const time = (seconds: number | null) => (seconds === null ? "" : fixed(seconds, 1));
    return {
      title: name,
      text: `${subsets} subsets of ${size} of ${clients} (${rows.train} training and ${rows.validation} validation rows) take ${flopsText(tuning)} to tune for ${epochs} passes, counted; about ${fixed(tuning / rate / 3600, 1)} hours at the speed of the tunings that were run (${checked.length} of them, one pass), whose operations differ from the count by ${off === 0 ? "nothing" : `at most ${fixed(100 * off, 3)} %`}. Estimating them takes ${ours.map((one) => `${fixed(saved(one), 0)} times less (${one.form})`).join(", ")}.`,
      table: {
        head: ["margin", "d", "sketches", "sketches s", "solves and evaluation", "solves s", "real tunings", "saved"],
        rows: ours.map((one) => [
          one.form,
          String(one.dim),
          flopsText(one.sketching.flops),
          time(one.sketching.seconds),
          flopsText(one.solving.flops),
          time(one.solving.seconds),
          flopsText(tuning),
          `${fixed(saved(one), 0)} x`,
        ]),
      },
    };
  };
