/** The findings of a study of the first-order approximation, as tables and figures. */
import { loss as lossText, percent, significant } from "../../../shared/base/format.js";
import { type Series, seriesPlot } from "../../report/figures/plots.js";
import { mean, type Ratio } from "../harness/statistics.js";
import type { Finding, Findings } from "../harness/study.js";
import type { Expansion } from "./expansion.js";
import { ROW_MARGINS, type RowMargin } from "./linearisation.js";
import {
  type Errors,
  errorsOf,
  KINDS,
  type Kind,
  type KindResult,
  LENGTHS,
  type PathResult,
  SHARES,
  STEPS,
  TUNED,
} from "./taylor-errors.js";

/** Goal of the error relative to the change of h. */
const CHANGE_GOAL = 0.2;

const MARGIN_NAMES: Readonly<Record<RowMargin, string>> = { answer: "whole vocabulary", choice: "choices" };

/** @param facts names and values of the measurement's conditions */
export function findingsOf(
  title: string,
  facts: readonly (readonly [string, string])[],
  results: readonly KindResult[],
): Findings {
  const kinds = [...new Set(results.map(({ kind }) => kind))].map((kind) => ({
    kind,
    results: results.filter((one) => one.kind === kind),
  }));
  const { ways } = results[0]!;
  const margins = ROW_MARGINS.filter((margin) =>
    ways.some(({ expansions }) => expansions.some((one) => one.margin === margin)),
  );
  const cells = kinds.flatMap((one) =>
    margins.flatMap((margin) =>
      Array.from({ length: STEPS }, (_, step) => ({
        kind: one.kind,
        margin,
        step: step < LENGTHS.length ? LENGTHS[step]! : null,
        share: step < LENGTHS.length ? null : SHARES[step - LENGTHS.length]!,
        length: meanOver(one.results, ({ lengths }) => lengths[step]!),
        weightChange: meanOver(one.results, ({ weightChanges }) => weightChanges?.[step] ?? null),
        linear: errorsOf(one.results, margin, step, "linear"),
        sketched: errorsOf(one.results, margin, step, "sketched"),
        logits: errorsOf(one.results, margin, step, "logits"),
      })),
    ),
  );
  return {
    title,
    facts: [
      ...facts,
      ["datasets", ways.at(-1)!.group.join(", ")],
      ["seeds", [...new Set(results.map(({ seed }) => seed))].join(", ")],
      ["norm of the base", significant(results[0]!.norms.all)],
    ],
    findings: [stepsFinding(cells, margins), tunedFinding(cells), causesFinding(cells), waysFinding(results)],
    data: {
      cells,
      ways: results.map(({ kind, seed, norms, ways }) => ({
        kind,
        seed,
        norms,
        ways: ways.map(({ expansions, ...way }) => ({ ...way, slopes: slopeError(expansions) })),
      })),
    },
  };
}

interface Cell {
  readonly kind: Kind;
  readonly margin: RowMargin;
  /** Relative length of a step of `LENGTHS`; else null. */
  readonly step: number | null;
  /** Share of the way of the other steps; else null. */
  readonly share: number | null;
  readonly length: number;
  readonly weightChange: number;
  readonly linear: Errors;
  readonly sketched: Errors;
  readonly logits: Errors;
}

/** NaN where one of them has none. */
function meanOver(results: readonly KindResult[], of: (way: PathResult) => number | null): number {
  return mean(results.flatMap(({ ways }) => ways.map((way) => of(way) ?? Number.NaN)));
}

/** Largest difference between the gradient's and the finite difference's change, relative to the mean change. */
function slopeError(expansions: readonly Expansion[]): number {
  const apart = expansions.map(({ slope, differenceSlope }) => Math.abs(slope - differenceSlope));
  return Math.max(...apart) / mean(expansions.map(({ slope }) => Math.abs(slope)));
}

const share = (value: number): string => `${significant(100 * value, 2)}`;
const ratio = ({ value, standardError }: Ratio): string =>
  `${share(value)} ± ${Number.isFinite(standardError) ? significant(100 * standardError, 1) : "–"}`;

const HEAD = [
  "adapter",
  "margin",
  "step %",
  "weights' change %",
  "|h|",
  "change of h",
  "error of |h| %",
  "squared %",
  "of the change %",
  "sketched, of the change %",
];

const rowOf = ({ kind, margin, length, weightChange, linear, sketched }: Cell): string[] => [
  kind,
  MARGIN_NAMES[margin],
  significant(100 * length, 2),
  significant(100 * weightChange, 2),
  significant(linear.margin, 2),
  significant(linear.change, 2),
  ratio(linear.ofMargin),
  share(linear.squared.value),
  ratio(linear.ofChange),
  share(sketched.ofChange.value),
];

function worst(cells: readonly Cell[], of: (cell: Cell) => number): Cell {
  return cells.reduce((a, b) => (of(b) > of(a) ? b : a));
}

function stepsFinding(cells: readonly Cell[], margins: readonly RowMargin[]): Finding {
  const given = cells.filter(({ step }) => step !== null);
  const said = (quantised: boolean): string => {
    const own = given.filter(({ kind }) => "base" in KINDS[kind].options === quantised);
    if (own.length === 0) return "";
    const most = worst(own, ({ linear }) => linear.ofMargin.value);
    return `At most ${share(most.linear.ofMargin.value)} % of |h| ${quantised ? "on a quantised base" : "on an unquantised base"} (${most.kind}, ${MARGIN_NAMES[most.margin]}, ${share(most.step!)} %; goal ${share(KINDS[most.kind].goal)}). `;
  };
  const change = worst(given, ({ linear }) => linear.ofChange.value);
  return {
    title: "Steps of 0.05 to 0.2 % of the base",
    text: `${said(false)}${said(true)}Relative to the change of h at most ${share(change.linear.ofChange.value)} % (${change.kind}, ${MARGIN_NAMES[change.margin]}; goal ${share(CHANGE_GOAL)}). |h| and the change of h are means in nats. A step is the distance of the adapter's parameters from the fresh ones along the way to the tuned ones, relative to the norm of all weights of the base; the weights' change is the norm of a LoRA's s B A, relative to the same. ± is a standard error over examples.`,
    table: { head: HEAD, rows: given.map(rowOf) },
    figures: margins.flatMap((margin) => [
      figure(cells, margin, "of |h|", ({ linear }) => linear.ofMargin.value),
      figure(cells, margin, "of the change of h", ({ linear }) => linear.ofChange.value),
    ]),
  };
}

/** Lines of the kinds that the goals name. */
const DRAWN: readonly Kind[] = ["LoRA", "Houlsby", "QLoRA", "QAdapter"];

function figure(cells: readonly Cell[], margin: RowMargin, what: string, of: (cell: Cell) => number) {
  const series = DRAWN.flatMap((kind): Series[] => {
    const own = cells.filter((cell) => cell.kind === kind && cell.margin === margin && of(cell) > 0);
    const points = own.map((cell) => ({ x: 100 * cell.length, y: 100 * of(cell) })).sort((a, b) => a.x - b.x);
    return points.length === 0 ? [] : [{ name: kind, points }];
  });
  return {
    figure: seriesPlot(series, {
      x: "step, % of the base's norm",
      y: `mean error, % ${what}`,
      logX: true,
      logY: true,
      label: `Error of the expansion against the step, ${what}, margin over ${MARGIN_NAMES[margin]}`,
    }),
    caption: `RowMargin over ${MARGIN_NAMES[margin]}, at steps of given lengths and a quarter, a half and all of the way to the tuned adapter.`,
  };
}

function tunedFinding(cells: readonly Cell[]): Finding {
  const given = cells.filter(({ share }) => share !== null);
  const tuned = given.filter(({ share }) => share === 1);
  const [least, most] = [tuned.map(({ length }) => length), tuned.map(({ linear }) => linear.ofChange.value)];
  return {
    title: "The tuned adapter, and a quarter and a half of the way",
    text: `Tuning goes ${share(Math.min(...least))} to ${share(Math.max(...least))} % of the base's norm. There the error is ${share(Math.min(...most))} to ${share(Math.max(...most))} % of the change of h.`,
    table: { head: HEAD, rows: given.map(rowOf) },
  };
}

/** The parts of the error: network, softmax and sketch. */
function causesFinding(cells: readonly Cell[]): Finding {
  const tuned = cells.filter(({ share }) => share === 1);
  const part = (cell: Cell): number => cell.logits.ofChange.value / cell.linear.ofChange.value;
  const said = ROW_MARGINS.flatMap((margin) => {
    const own = tuned.filter((cell) => cell.margin === margin).map(part);
    return own.length === 0
      ? []
      : [`${percent(mean(own), 0)} % of the error of the margin over ${MARGIN_NAMES[margin]}`];
  });
  return {
    title: "Where the error comes from",
    text: `A margin is a logit minus a logsumexp of others. With logits expanded to first order, and the margin computed from them, ${said.join(" and ")} remains at the tuned adapter: the part of the network; the rest is the logsumexp's. The sketch's error is that of the inner product of two sketches, of gradient and way. It is not the estimate's, whose weights are fitted to the sketches themselves.`,
    table: {
      head: [
        "adapter",
        "margin",
        "expanded margin, of the change %",
        "expanded logits, of the change %",
        "sketched, of the change %",
      ],
      rows: tuned.map((cell) => [
        cell.kind,
        MARGIN_NAMES[cell.margin],
        ratio(cell.linear.ofChange),
        ratio(cell.logits.ofChange),
        ratio(cell.sketched.ofChange),
      ]),
    },
  };
}

function waysFinding(results: readonly KindResult[]): Finding {
  return {
    title: "The tuned adapters",
    text: "One adapter per dataset and one for all. The loss is a mean over the datasets, on validation rows, before and after. The slope's check is the largest difference between the change of h by the gradient and by a central difference, relative to the mean change.",
    table: {
      head: [
        "adapter",
        "datasets",
        "seed",
        "loss before",
        "after",
        "length %",
        "weights' change %",
        "of adapted weights %",
        "slope's check %",
      ],
      rows: results.flatMap(({ kind, seed, norms, ways }) =>
        ways.map(({ group, loss, lengths, weightChanges, expansions }) => [
          kind,
          group.length > 1 ? `all ${group.length}` : group[0]!,
          String(seed),
          lossText(loss.before),
          lossText(loss.after),
          significant(100 * lengths[TUNED]!, 2),
          significant(weightChanges === null ? Number.NaN : 100 * weightChanges[TUNED]!, 2),
          significant(
            weightChanges === null ? Number.NaN : (100 * weightChanges[TUNED]! * norms.all) / norms.adapted!,
            2,
          ),
          share(slopeError(expansions)),
        ]),
      ),
    },
  };
}
