/**
 * Growth of the estimation's time and memory with clients n, subsets k and sketch width d: one at a time from a common middle, each
 * point in a process of its own, since a process keeps the memory it once had. Writes a table and a plot on logarithmic axes. It knows
 * nothing of the measurement at a point (estimation.ts).
 */
import { join } from "node:path";
import { writeAtomically } from "../../shared/base/atomic.js";
import { makeFolder } from "../../shared/base/folders.js";
import { html, type Markup } from "../report/markup.js";
import { inChildProcess } from "./child-process.js";
import type { EstimationBench, EstimationCase } from "./estimation.js";

const MIDDLE = { clients: 200, subsets: 1000, subsetSize: 25, dim: 400 };
const AXES = [
  { field: "clients", name: "clients n", values: [50, 100, 200, 400] },
  { field: "subsets", name: "subsets k", values: [250, 500, 1000, 2000, 4000] },
  { field: "dim", name: "sketch width d", values: [100, 200, 400, 800] },
] as const;
const LAMBDA = 1e-3;

interface Point {
  readonly axis: string;
  readonly given: EstimationCase;
  readonly value: number;
  readonly found: EstimationBench;
}

/** @param folder for estimation-growth.csv and estimation-growth.svg */
export async function benchGrowth(print: (line: string) => void, folder: string): Promise<void> {
  const points: Point[] = [];
  for (const { field, name, values } of AXES) {
    for (const value of values) {
      const given = { ...MIDDLE, [field]: value, lambda: LAMBDA };
      const found = await inChildProcess<EstimationBench>("./growth-point.js", given);
      points.push({ axis: name, given, value, found });
      print(
        `  ${name} ${value}: ${found.total.clock.toFixed(2)} s (processors ${found.total.processor.toFixed(2)}), peak ${mib(found)} MiB`,
      );
    }
    const own = points.filter(({ axis }) => axis === name);
    print(
      `  with ${name}: processor time to the power ${slope(own, processor)}, memory to the power ${slope(own, ({ found }) => found.peakBytes)}`,
    );
  }
  makeFolder(folder);
  const header =
    "axis,clients,subsets,subset_size,dim,clock_s,processor_s,prepare_processor_s,fit_processor_s,peak_mib\n";
  const rows = points.map(
    ({ axis, given: { clients, subsets, subsetSize, dim }, found: { total, prepare, fit, ...rest } }) =>
      [
        axis,
        clients,
        subsets,
        subsetSize,
        dim,
        total.clock.toFixed(3),
        total.processor.toFixed(3),
        prepare.processor.toFixed(3),
        fit.processor.toFixed(3),
        mib(rest),
      ].join(),
  );
  await writeAtomically(join(folder, "estimation-growth.csv"), `${header}${rows.join("\n")}\n`);
  await writeAtomically(join(folder, "estimation-growth.svg"), `${plot(points)}\n`);
  print(`  ${join(folder, "estimation-growth.csv")} and .svg`);
}

const processor = ({ found }: Point): number => found.total.processor;
const mib = ({ peakBytes }: Pick<EstimationBench, "peakBytes">): string => (peakBytes / 2 ** 20).toFixed(0);

/** Slope of log y against log x over the upper half of the axis, where fixed costs are negligible. */
function slope(points: readonly Point[], of: (point: Point) => number): string {
  const upper = points.slice(Math.floor((points.length - 1) / 2));
  const [first, last] = [upper[0]!, upper.at(-1)!];
  return (Math.log(of(last) / of(first)) / Math.log(last.value / first.value)).toFixed(2);
}

const PANEL = { width: 260, height: 190, left: 52, top: 30, right: 14, bottom: 34 };

/** One row of panels for processor seconds and one for peak memory; one column per axis. */
function plot(points: readonly Point[]): Markup {
  const quantities = [
    { name: "processor s", of: processor },
    { name: "peak MiB", of: ({ found }: Point) => found.peakBytes / 2 ** 20 },
  ];
  const { width, height } = PANEL;
  const panels = quantities.flatMap(({ name, of }, row) => {
    const all = points.map(of);
    const [low, high] = [10 ** Math.floor(Math.log10(Math.min(...all))), 10 ** Math.ceil(Math.log10(Math.max(...all)))];
    return AXES.map((axis, column) => {
      const own = points.filter((point) => point.axis === axis.name);
      return html`<g transform="translate(${column * width} ${row * height})">${panel(own, of, `${name} against ${axis.name}`, [low, high])}</g>`;
    });
  });
  return html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${3 * width} ${2 * height}" width="${3 * width}" height="${2 * height}" font-family="system-ui, sans-serif" font-size="11">
<style>text{fill:#333}.grid{stroke:#ddd}.curve{stroke:#2f6fb0;fill:none;stroke-width:1.5}circle{fill:#2f6fb0}@media (prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#444}}</style>
${panels}</svg>`;
}

function panel(
  points: readonly Point[],
  of: (point: Point) => number,
  title: string,
  range: readonly [number, number],
) {
  const { width, height, left, top, right, bottom } = PANEL;
  const scaled = (v: number, lo: number, hi: number) => Math.log(v / lo) / Math.log(hi / lo);
  const [first, last] = [points[0]!.value, points.at(-1)!.value];
  const x = (v: number) => (left + scaled(v, first, last) * (width - left - right)).toFixed(1);
  const y = (v: number) => (height - bottom - scaled(v, range[0], range[1]) * (height - top - bottom)).toFixed(1);
  const decades = Array.from({ length: Math.round(Math.log10(range[1] / range[0])) + 1 }, (_, k) => range[0] * 10 ** k);
  const path = points.map((point, k) => `${k === 0 ? "M" : "L"}${x(point.value)} ${y(of(point))}`).join("");
  return html`<text x="${left}" y="18">${title}</text>
${decades.map((v) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}"/><text x="${left - 6}" y="${y(v)}" text-anchor="end" dominant-baseline="central">${v}</text>`)}
${points.map(({ value }) => html`<text x="${x(value)}" y="${height - bottom + 16}" text-anchor="middle">${value}</text>`)}
<path class="curve" d="${path}"/>${points.map((point) => html`<circle cx="${x(point.value)}" cy="${y(of(point))}" r="3"><title>${point.value}: ${of(point).toPrecision(3)}</title></circle>`)}`;
}
