import { fixed, flops as flopsText, loss as lossText, percent } from "../../../shared/base/format.js";
import { MARGINS } from "../../../shared/sketch/types.js";
import { scatter, seriesPlot } from "../../report/figures/plots.js";
import { mean } from "../harness/statistics.js";
import type { Finding, Findings } from "../harness/study.js";
import type { Agreement } from "./agreement.js";
import {
  boundsOf,
  CALIBRATIONS,
  type ErrorCase,
  type Row,
  realOf,
  rowsOf,
  type SeedResult,
  type Split,
} from "./error-results.js";

/** The configuration of the main result. */
const LEAD = { form: "negatives", calibration: "own + common" } as const;

export function findingsOf(given: ErrorCase, model: string, results: readonly SeedResult[]): Findings {
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
    text: "Real losses on rows that the estimate does not use; estimates from training and validation rows.",
  },
  validation: {
    title: "Against loss on the estimated rows",
    text: "Real losses on the validation rows themselves: the difference is the error of the estimator, without that of small samples.",
  },
};

/** Mean of the same row over the seeds. */
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
        const members = subset.map((j) => names[j]).join(", ");
        return { x, y, tip: `${names[i]} in {${members}}\nestimated ${lossText(x)}, real ${lossText(y)}` };
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
    text: `${text} At d = ${width}, the error of negatives calibrated by each dataset's own adapter and a common one is ${lead[0]} % (mean of |estimate - real| / real over datasets and subsets), with an R² of ${lead[3]}; the rank correlation of affinities is ${lead[7]}. Real losses are means of two tunings, with rows in another order, for the ${repeated} subsets that were tuned twice. The last rows give the agreement of these two tunings, and that of losses on other rows of the same sets.`,
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
          label: "Real against estimated loss",
          percent: false,
        }),
        caption: `A point per dataset and subset, negatives at d = ${width}, calibrated; on the line the estimate is exact.`,
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
    title: "Cost",
    text: `With seed ${seed}, the real tunings of the subsets took ${flopsText(real)} in ${fixed(
      truth.reduce((sum, { seconds }) => sum + seconds, 0),
      0,
    )} s. With few rows and passes the saving is small; the study computation-saved has realistic sizes.`,
    table: {
      head: ["margin", "calibrated", "sketches", "solves", "solves s", "real adapters", "saved"],
      rows,
    },
  };
}
