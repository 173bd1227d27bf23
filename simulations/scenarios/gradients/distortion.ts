/**
 * A study of the sketch: its distortion of norms and inner products of real per-example gradients by width, beside that of a dense
 * Rademacher projection of the same gradients, and the gain by averaging over seeds.
 */
import { join } from "node:path";
import { Meter } from "../../../client/tuning/compiled-graphs.js";
import type { JobContext } from "../../../shared/base/command.js";
import { throwIfAborted } from "../../../shared/base/errors.js";
import { count, fixed, significant } from "../../../shared/base/format.js";
import { seriesPlot } from "../../report/figures/plots.js";
import { Measurements } from "../harness/measurements.js";
import { planOf, type StudySetup } from "../harness/setup.js";
import { mean, standardError } from "../harness/statistics.js";
import type { Finding, Findings, Study, StudyJob } from "../harness/study.js";
import { Testbed } from "../harness/testbed.js";
import { sketcher } from "./expansion.js";
import { eachGradient, hasMargin, ROW_MARGINS } from "./linearisation.js";
import { type Distortion, denseProduct, distortionOf, type Gram, gramOf, meanGram, theory } from "./projections.js";

const ADAPTERS = { LoRA: {}, Houlsby: { kind: "houlsby" } } as const;
type Adapter = keyof typeof ADAPTERS;

const WIDTHS = [50, 100, 200, 400, 800, 1600] as const;
const WIDEST = WIDTHS[WIDTHS.length - 1]!;
/** Projections of each way. */
const SEEDS = 16;
/** Numbers of seeds averaged over, at the default width. Divisors of SEEDS. */
const AVERAGED = { width: 400, over: [1, 2, 4, 8] } as const;

const PROJECTION_KINDS = ["structured", "dense"] as const;
type ProjectionKind = (typeof PROJECTION_KINDS)[number];

export interface DistortionCase extends StudySetup {
  readonly about: string;
}

interface ProjectionResult {
  /** [WIDTHS][SEEDS] */
  readonly distortions: readonly (readonly Distortion[])[];
  /** [AVERAGED.over][SEEDS / k] of inner products averaged over k seeds. */
  readonly averages: readonly (readonly Distortion[])[];
}

interface AdapterResult {
  readonly adapter: Adapter;
  /** Gradients, and the numbers of each. */
  readonly gradients: number;
  readonly parameters: number;
  /** [WIDTHS] */
  readonly theory: readonly Distortion[];
  readonly ways: Readonly<Record<ProjectionKind, ProjectionResult>>;
}

export function distortionStudy(given: DistortionCase): Study {
  return {
    about: given.about,
    oneSeed: true,
    run: async (job, context) => {
      const results: AdapterResult[] = [];
      for (const adapter of Object.keys(ADAPTERS) as Adapter[])
        results.push(await oneAdapter(given, adapter, job, context));
      return findingsOf(given, job, results);
    },
  };
}

async function oneAdapter(given: DistortionCase, adapter: Adapter, job: StudyJob, context: JobContext) {
  const { seed, force } = job;
  const plan = await planOf({ ...given, options: { ...given.options, adapter: ADAPTERS[adapter] } }, job);
  const testbed = await Testbed.open(plan, context);
  const stage = context.progress.stage(`project gradients of ${adapter}`, PROJECTION_KINDS.length * SEEDS);
  try {
    const kept = await Measurements.open(
      join(job.out, adapter.toLowerCase()),
      { ...testbed.setting, WIDTHS, SEEDS, AVERAGED },
      force,
    );
    return await kept.of(adapter, async (): Promise<AdapterResult> => {
      const gradients = await gradientsOf(testbed, context.signal);
      const exact = gramOf(gradients);
      const measured = async (way: ProjectionKind): Promise<ProjectionResult> => {
        const grams: Gram[][] = [];
        for (let at = 0; at < SEEDS; at++) {
          throwIfAborted(context.signal);
          grams.push(await gramsOf(testbed, gradients, way, seed + at));
          stage.tick();
        }
        return compared(exact, grams);
      };
      return {
        adapter,
        gradients: gradients.length,
        parameters: gradients[0]!.length,
        theory: WIDTHS.map((width) => theory(exact, width)),
        ways: { structured: await measured("structured"), dense: await measured("dense") },
      };
    });
  } finally {
    stage.done();
    await testbed.close();
  }
}

/** Of every margin of every training row. */
async function gradientsOf(
  { compiledGraphs, layout, start, names, ...testbed }: Testbed,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const rows = names.flatMap((_, i) => testbed.datasets[i]!.train);
  const gradients: Float32Array[] = [];
  for (const margin of ROW_MARGINS) {
    const own = rows.filter((row) => hasMargin(row, margin));
    await eachGradient({ compiledGraphs, layout, meter: new Meter(signal) }, start, own, margin, (_, __, gradient) => {
      gradients.push(gradient);
    });
  }
  return gradients;
}

/** [WIDTHS] inner products of the projected gradients. */
async function gramsOf(
  { layout, runtime }: Testbed,
  gradients: readonly Float32Array[],
  way: ProjectionKind,
  seed: number,
): Promise<Gram[]> {
  if (way === "structured") return WIDTHS.map((dim) => gramOf(gradients.map(sketcher(layout, { dim, seed }))));
  const products = await denseProduct(runtime, gradients, WIDEST, seed);
  return WIDTHS.map((dim) => gramOf(products, dim).map((value) => value / dim));
}

/** @param grams [SEEDS][WIDTHS] */
function compared(exact: Gram, grams: readonly (readonly Gram[])[]): ProjectionResult {
  const at = WIDTHS.indexOf(AVERAGED.width);
  return {
    distortions: WIDTHS.map((_, width) => grams.map((own) => distortionOf(exact, own[width]!))),
    averages: AVERAGED.over.map((k) =>
      Array.from({ length: SEEDS / k }, (_, group) => {
        const own = grams.slice(group * k, (group + 1) * k);
        return distortionOf(exact, meanGram(own.map((one) => one[at]!)));
      }),
    ),
  };
}

type Of = (distortion: Distortion) => number;
const normMean: Of = ({ norm }) => norm.mean;
const innerMean: Of = ({ inner }) => inner.mean;

function findingsOf(given: DistortionCase, { model, seed }: StudyJob, results: readonly AdapterResult[]): Findings {
  return {
    title: given.title,
    facts: [
      ["model", model ?? given.model()],
      ["seed", String(seed)],
      ["projections of each kind", String(SEEDS)],
    ],
    findings: results.flatMap((result) => [widthsFinding(result), averagesFinding(result)]),
    data: results.map(({ ways, ...result }) => ({ ...result, widths: WIDTHS, averagedOver: AVERAGED, ways })),
  };
}

const over = (distortions: readonly Distortion[], of: Of): number => mean(distortions.map(of));

/** The structured sketch's error to the dense one's, a mean over the widths; its standard error by the spread over seeds. */
function ratioOf({ ways }: AdapterResult, of: Of): { value: number; error: number } {
  const toDense = (way: ProjectionKind): number[] =>
    Array.from({ length: SEEDS }, (_, seed) =>
      mean(WIDTHS.map((_, at) => of(ways[way].distortions[at]![seed]!) / over(ways.dense.distortions[at]!, of))),
    );
  const [structured, dense] = [toDense("structured"), toDense("dense")];
  return { value: mean(structured), error: Math.hypot(standardError(structured), standardError(dense)) };
}

const share = (value: number): string => significant(100 * value, 3);
const withError = ({ value, error }: { value: number; error: number }): string =>
  `${fixed(value, 3)} ± ${fixed(error, 3)}`;

function widthsFinding(result: AdapterResult): Finding {
  const { adapter, gradients, parameters, ways } = result;
  const columns: readonly (readonly [string, Of])[] = [
    ["norm", normMean],
    ["norm, 95 % below", ({ norm }) => norm.most],
    ["inner product", innerMean],
    ["inner product, 95 % below", ({ inner }) => inner.most],
  ];
  const figure = (name: string, of: Of) => ({
    figure: seriesPlot(
      [
        ...PROJECTION_KINDS.map((way) => ({
          name: way,
          points: WIDTHS.map((x, at) => ({ x, y: 100 * over(ways[way].distortions[at]!, of) })),
        })),
        { name: "theory", points: WIDTHS.map((x, at) => ({ x, y: 100 * of(result.theory[at]!) })) },
      ],
      {
        x: "width of the sketch",
        y: `mean error of the ${name}, %`,
        logX: true,
        logY: true,
        label: `Error of the ${name} against the width, ${adapter}`,
      },
    ),
    caption: `Mean over ${count(gradients)} gradients and ${SEEDS} seeds.`,
  });
  return {
    title: `Gradients of ${adapter}: structured and dense`,
    text: `${count(gradients)} real gradients of ${count(parameters)} numbers each. The structured sketch's error is ${withError(ratioOf(result, normMean))} times the dense one's for norms and ${withError(ratioOf(result, innerMean))} times for inner products, the mean over the widths. Errors in %: of norms relative to the norm, of inner products relative to the product of the norms; "theory" is a dense projection's to first order in 1 / d.`,
    table: {
      head: ["width", "projection", ...columns.map(([name]) => name)],
      rows: WIDTHS.flatMap((width, at) => [
        ...PROJECTION_KINDS.map((way) => [
          String(width),
          way,
          ...columns.map(([, of]) => share(over(ways[way].distortions[at]!, of))),
        ]),
        [String(width), "theory", ...columns.map(([, of]) => share(of(result.theory[at]!)))],
      ]),
    },
    figures: [figure("norm", normMean), figure("inner product", innerMean)],
  };
}

function averagesFinding({ adapter, ways, ...result }: AdapterResult): Finding {
  const one = result.theory[WIDTHS.indexOf(AVERAGED.width)]!;
  const series = [
    ...PROJECTION_KINDS.map((way) => ({
      name: way,
      points: AVERAGED.over.map((x, at) => ({ x, y: 100 * over(ways[way].averages[at]!, innerMean) })),
    })),
    { name: "theory", points: AVERAGED.over.map((x) => ({ x, y: (100 * one.inner.mean) / Math.sqrt(x) })) },
  ];
  const all = AVERAGED.over.length - 1;
  const { structured } = ways;
  return {
    title: `Gradients of ${adapter}: averages over seeds`,
    text: `Inner products of width ${AVERAGED.width}, averaged over ${AVERAGED.over[all]} seeds: the error is ${fixed(over(structured.averages[0]!, innerMean) / over(structured.averages[all]!, innerMean), 2)} times smaller; errors that are independent, and one sketch that many times as wide, give ${fixed(Math.sqrt(AVERAGED.over[all]!), 2)}.`,
    table: {
      head: ["seeds", ...PROJECTION_KINDS, "theory"],
      rows: AVERAGED.over.map((k, at) => [String(k), ...series.map(({ points }) => share(points[at]!.y / 100))]),
    },
    figures: [
      {
        figure: seriesPlot(series, {
          x: "seeds averaged",
          y: "mean error of the inner product, %",
          logX: true,
          logY: true,
          label: `Error of averaged inner products against the seeds, ${adapter}`,
        }),
        caption: `Sketches of width ${AVERAGED.width}.`,
      },
    ],
  };
}
