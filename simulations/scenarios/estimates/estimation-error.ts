/**
 * How far the estimate of fine-tuning is from fine-tuning: random subsets of real datasets are really tuned and scored, and the
 * same subsets are estimated from sketches, for several widths and forms of margins. It knows nothing of groups.
 */
import { join } from "node:path";
import { calibrated, type RealLosses } from "../../../coordinator/estimation/calibration.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { sampleSubsets } from "../../../coordinator/estimation/sampler.js";
import { openEstimator } from "../../../coordinator/stages/affinities.js";
import type { JobContext } from "../../../shared/base/command.js";
import { fixed, flops as flopsText, loss as lossText, percent } from "../../../shared/base/format.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { MeteredRuntime } from "../../../shared/runtimes/metered.js";
import { type ClientSketch, type LogisticRows, MARGINS } from "../../../shared/sketch/types.js";
import { scatter } from "../../report/figures.js";
import { seriesPlot } from "../../report/series.js";
import { Lab, type LabScore, type Tuning } from "../frame/lab.js";
import { Measurements } from "../frame/measurements.js";
import { sketchesOf } from "../frame/sketches.js";
import { mean } from "../frame/statistics.js";
import { bySeed, type Finding, type Findings, type Study, type StudyJob } from "../frame/study.js";
import { planOf, type Subject } from "../frame/subject.js";
import { type Agreement, agreementOf } from "./agreement.js";

export interface ErrorCase extends Subject {
  readonly about: string;
  readonly tuning: Omit<Tuning, "seed">;
  readonly subsets: number;
  readonly size: number;
  /** Widths of a sketch, each half of the next: narrow ones are folded from the widest. */
  readonly widths: readonly number[];
  /** The width at which forms of margins and calibrations are compared. */
  readonly width: number;
  /** So many of the subsets are tuned a second time, rows in another order: what is real is then the mean of two. */
  readonly repeated: number;
}

type Form = (typeof MARGINS)[number];

/** What real validation losses the estimate is brought to the level of: none, or those of own adapters and of the common one. */
const CALIBRATIONS = ["none", "own + common"] as const;
type Calibration = (typeof CALIBRATIONS)[number];
/** What the findings lead with. */
const LEAD = { form: "negatives", calibration: "own + common" } as const;

/** Losses of a subset's members, in its order. */
interface Truth {
  readonly flops: number;
  readonly seconds: number;
  readonly validation: readonly LabScore[];
  readonly test: readonly LabScore[];
}

/** Estimated losses: of all subsets, and of each dataset alone. */
interface Estimate {
  readonly form: Form;
  readonly width: number;
  readonly calibration: Calibration;
  readonly losses: readonly (readonly number[])[];
  readonly alone: readonly number[];
  readonly lambdas: readonly number[];
  readonly flops: { readonly sketching: number; readonly solving: number };
  readonly seconds: number;
}

type Split = "validation" | "test";
type Row = Omit<Estimate, "losses" | "alone" | "lambdas"> & { readonly agreement: Readonly<Record<Split, Agreement>> };

interface SeedResult {
  readonly seed: number;
  readonly names: readonly string[];
  readonly subsets: readonly (readonly number[])[];
  readonly truth: readonly Truth[];
  readonly alone: readonly Truth[];
  readonly common: Truth;
  readonly again: readonly Truth[];
  readonly estimates: readonly Estimate[];
}

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
  const lab = await Lab.open(plan, context);
  try {
    const { names } = lab;
    const tuning = { ...given.tuning, seed };
    const kept = await Measurements.open(out, { ...lab.setting, tuning }, force);
    const tuned = (subset: readonly number[], order = seed): Promise<Truth> =>
      kept.of({ tuned: subset.map((i) => names[i]!), order }, async () => {
        const { values, flops, seconds } = await lab.tune(subset, { ...tuning, seed: order });
        const validation = await lab.score(values, subset, "validation");
        return { flops, seconds, validation, test: await lab.score(values, subset, "test") };
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
    const estimates: Estimate[] = [];
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
              lab,
              of: { form, width, sketching },
              signal: context.signal,
            },
          )),
        );
    }
    return { seed, names, subsets, truth, alone, common: common!, again, estimates };
  } finally {
    await lab.close();
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

/** With each of CALIBRATIONS. */
async function estimated(
  plan: SimulationPlan,
  sketches: readonly ClientSketch[],
  {
    subsets,
    real,
    lab,
    of,
    signal,
  }: {
    readonly subsets: readonly (readonly number[])[];
    readonly real: RealLosses;
    readonly lab: Lab;
    readonly of: { readonly form: Form; readonly width: number; readonly sketching: number };
    readonly signal: AbortSignal;
  },
): Promise<Estimate[]> {
  const { form, width, sketching } = of;
  const runtime = new MeteredRuntime(lab.runtime);
  const spent = () => ({ flops: runtime.flops, ms: performance.now() });
  const begun = spent();
  const plain = await openEstimator(sketches, plan.estimation, { seed: plan.seed, runtime, signal });
  const opened = spent();
  try {
    const estimates: Estimate[] = [];
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

const lossesOf = (truth: Truth, split: Split): number[] => truth[split].map(({ loss }) => loss);

/** Real losses of subset k's members: the mean of its tunings. */
function realOf({ truth, again }: Pick<SeedResult, "truth" | "again">, k: number, split: Split): number[] {
  const tunings = [truth[k]!, again[k]].filter((one) => one !== undefined).map((one) => lossesOf(one, split));
  return tunings[0]!.map((_, at) => mean(tunings.map((losses) => losses[at]!)));
}

function rowsOf({ names, subsets, truth, again, alone, estimates }: SeedResult): Row[] {
  return estimates.map(({ losses, alone: estimatedAlone, lambdas: _, ...of }) => {
    const against = (split: Split): Agreement =>
      agreementOf({
        datasets: names.length,
        subsets,
        truth: subsets.map((_, k) => realOf({ truth, again }, k, split)),
        estimate: losses,
        alone: { truth: alone.map((one) => lossesOf(one, split)[0]!), estimate: estimatedAlone },
      });
    return { ...of, agreement: { validation: against("validation"), test: against("test") } };
  });
}

/** What bounds any estimate: how the two tunings of a subset agree, and for test rows what is real on other rows of the same sets. */
function boundsOf({ names, subsets, truth, alone, again }: SeedResult, split: Split): Record<string, Agreement> {
  const own = (from: Split) => alone.map((one) => lossesOf(one, from)[0]!);
  const against = (real: readonly (readonly number[])[], estimate: readonly (readonly number[])[], from: Split) =>
    agreementOf({
      datasets: names.length,
      subsets: subsets.slice(0, real.length),
      truth: real,
      estimate,
      alone: { truth: own(split), estimate: own(from) },
    });
  const [first, second] = [truth.slice(0, again.length), again].map((of) => of.map((one) => lossesOf(one, split)));
  const all = (from: Split) => subsets.map((_, k) => realOf({ truth, again }, k, from));
  return {
    "a second tuning": against(first!, second!, split),
    ...(split === "test" ? { "real, on validation rows": against(all("test"), all("validation"), "validation") } : {}),
  };
}

function findingsOf(given: ErrorCase, model: string, results: readonly SeedResult[]): Findings {
  const rows = results.map(rowsOf);
  return {
    title: given.title,
    facts: [
      ["model", model],
      ["datasets", String(results[0]!.names.length)],
      ["subsets", `${results[0]!.subsets.length} of ${given.size}`],
      ["seeds", results.map(({ seed }) => seed).join(", ")],
      ["passes", String(given.tuning.epochs)],
      ["learning rate", String(given.tuning.learningRate)],
    ],
    findings: [
      agreementFinding("test", given, results, rows),
      agreementFinding("validation", given, results, rows),
      costFinding(given, results),
    ],
    data: results.map((result, s) => ({
      ...result,
      agreement: rows[s],
      bounds: { test: boundsOf(result, "test"), validation: boundsOf(result, "validation") },
    })),
  };
}

const SPLITS: Readonly<Record<Split, { readonly title: string; readonly text: string }>> = {
  test: {
    title: "Against loss on test rows",
    text: "Real losses on rows that no estimate has seen, estimates from training and validation rows.",
  },
  validation: {
    title: "Against loss on the rows that the estimate is of",
    text: "Real losses on the validation rows themselves: what is left is the estimator's error, not that of small samples.",
  },
};

/** The same row in each seed, its mean. */
function overSeeds(
  rows: readonly (readonly Row[])[],
  at: number,
  split: Split,
  of: (row: Agreement) => number,
): number {
  return mean(rows.map((one) => of(one[at]!.agreement[split])));
}

function agreementFinding(
  split: Split,
  { width, repeated }: ErrorCase,
  results: readonly SeedResult[],
  rows: readonly (readonly Row[])[],
): Finding {
  const first = rows[0]!;
  const value = (at: number, of: (row: Agreement) => number) => overSeeds(rows, at, split, of);
  const chosen = first.findIndex(
    (row) => row.form === LEAD.form && row.calibration === LEAD.calibration && row.width === width,
  );
  const dots = results.flatMap(({ names, subsets, truth, again, estimates }) =>
    subsets.flatMap((subset, k) =>
      subset.map((i, at) => {
        const [x, y] = [estimates[chosen]!.losses[k]![at]!, realOf({ truth, again }, k, split)[at]!];
        const company = subset.map((j) => names[j]).join(", ");
        return { x, y, tip: `${names[i]} in {${company}}\nestimated ${lossText(x)}, real ${lossText(y)}` };
      }),
    ),
  );
  const lines = MARGINS.flatMap((form) =>
    [CALIBRATIONS[0], LEAD.calibration].map((calibration) => ({
      name: calibration === "none" ? form : `${form}, calibrated`,
      points: first.flatMap((row, at) =>
        row.form === form && row.calibration === calibration
          ? [{ x: row.width, y: 100 * value(at, (one) => one.relativeError) }]
          : [],
      ),
    })),
  );
  const bounds = results.map((result) => boundsOf(result, split));
  const lead = cellsOf(rows.map((one) => one[chosen]!.agreement[split]));
  const { title, text } = SPLITS[split];
  return {
    title,
    text: `${text} At d = ${width}, negatives calibrated by each dataset's own adapter and a common one are off by ${lead[0]} % (mean of |estimate - real| / real over datasets and subsets), with an R² of ${lead[3]}; affinities are ranked with ${lead[7]}. Real is the mean of two tunings, rows in another order, of the ${repeated} subsets that were tuned twice. The last rows say how far the two of them agree, and how far losses on other rows of the same sets.`,
    table: {
      head: [
        "margin",
        "d",
        "calibrated by",
        "error %",
        "nats",
        "of a subset's mean %",
        ...RANKED.map(([name]) => name),
      ],
      rows: [
        ...first.map((row, at) => [
          row.form,
          String(row.width),
          row.calibration,
          ...cellsOf(rows.map((one) => one[at]!.agreement[split])),
        ]),
        ...Object.keys(bounds[0]!).map((name) => [name, "", "", ...cellsOf(bounds.map((one) => one[name]!))]),
      ],
    },
    figures: [
      {
        figure: scatter(dots, {
          x: "estimated loss",
          y: `real ${split} loss`,
          betterAbove: false,
          label: "Real against estimated loss",
          percent: false,
        }),
        caption: `A point a dataset and subset, negatives at d = ${width}, calibrated; on the line the estimate is the truth.`,
      },
      {
        figure: seriesPlot(lines, {
          x: "width of a sketch",
          y: "error %",
          logX: true,
          logY: true,
          label: "Estimation error against the width of a sketch",
        }),
        caption: "Mean of |estimate - real| / real, by form of the margin.",
      },
    ],
  };
}

/** The last columns of a table. */
const RANKED = [
  ["R²", "explained"],
  ["R² within", "explainedWithin"],
  ["rank f", "rank"],
  ["rank change", "rankOfChange"],
  ["rank T", "rankOfAffinity"],
] as const satisfies readonly (readonly [string, keyof Agreement])[];

/** Means over seeds. */
function cellsOf(agreements: readonly Agreement[]): string[] {
  const of = (key: keyof Agreement): number => mean(agreements.map((one) => one[key]));
  const ranked = RANKED.map(([, key]) => fixed(of(key), 2));
  return [percent(of("relativeError")), lossText(of("error")), percent(of("subsetError")), ...ranked];
}

function costFinding({ width }: ErrorCase, results: readonly SeedResult[]): Finding {
  const { seed, truth, alone, common, estimates } = results[0]!;
  const real = truth.reduce((sum, { flops }) => sum + flops, 0);
  const own = alone.reduce((sum, { flops }) => sum + flops, 0);
  const rows = estimates
    .filter((one) => one.width === width)
    .map(({ form, calibration, flops: { sketching, solving }, seconds }) => {
      const trained = calibration === "none" ? 0 : own + common.flops;
      const ours = sketching + solving + trained;
      return [
        form,
        calibration,
        flopsText(sketching),
        flopsText(solving),
        fixed(seconds, 1),
        trained > 0 ? flopsText(trained) : "",
        `${fixed(real / ours, 1)} x`,
      ];
    });
  return {
    title: "What it cost",
    text: `With seed ${seed}, the real tunings of the subsets took ${flopsText(real)} in ${fixed(
      truth.reduce((sum, { seconds }) => sum + seconds, 0),
      0,
    )} s. With few rows and passes little is saved; the study computation-saved has sizes that matter.`,
    table: {
      head: ["margin", "calibrated", "sketches", "solves", "solves s", "real adapters", "saved"],
      rows,
    },
  };
}
