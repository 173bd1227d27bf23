/**
 * Axes of figures. Figures are as wide as their place: horizontal positions are percentages, so that nothing but lengths changes with
 * the width, and labels keep their size. They know nothing of reports.
 */
import { tickLabels } from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";

export interface Axis {
  readonly marks: readonly number[];
  readonly labels: readonly string[];
  /** Place of a value between the axis's ends, 0..1. */
  readonly at: (value: number) => number;
}

/** About `wanted` round numbers that cover lo..hi, the ends included. */
export function ticks(lo: number, hi: number, wanted = 5): number[] {
  const span = hi > lo ? hi - lo : Math.abs(hi) || 1;
  const rough = span / Math.max(1, wanted - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10) * power;
  const first = Math.floor(lo / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(hi / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

/** @param percent labels are in percent of the values */
export function linearAxis(
  values: readonly number[],
  { wanted = 5, percent = false }: { readonly wanted?: number; readonly percent?: boolean } = {},
): Axis {
  const known = values.filter(Number.isFinite);
  const marks = known.length > 0 ? ticks(Math.min(...known), Math.max(...known), wanted) : [0, 1];
  const [lo, hi] = [marks[0]!, marks.at(-1)!];
  const labels = tickLabels(percent ? marks.map((mark) => mark * 100) : marks);
  return { marks, labels, at: (value) => (value - lo) / (hi - lo) };
}

/** Marks at 1, 2 and 5 of each decade that lie within the values' range, and just outside. @param values above 0 */
export function logarithmicAxis(values: readonly number[]): Axis {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const from = Math.floor(Math.log10(least));
  const all = Array.from({ length: Math.ceil(Math.log10(most)) - from + 1 }, (_, k) =>
    [1, 2, 5].map((factor) => Number((factor * 10 ** (from + k)).toPrecision(1))),
  ).flat();
  const lo = all.filter((mark) => mark <= least * 1.0001).at(-1)!;
  const hi = all.find((mark) => mark >= most * 0.9999)!;
  const marks = hi > lo ? all.filter((mark) => mark >= lo && mark <= hi) : [lo, lo * 2];
  const span = Math.log(marks.at(-1)! / lo);
  return { marks, labels: marks.map(shortNumber), at: (value) => Math.log(value / lo) / span };
}

const shortNumber = (value: number): string =>
  value >= 0.001 && value < 1e5 ? String(value) : value.toExponential(0).replace("-", "−");

/** A share as the percentage of an attribute. Two decimals of a percent are a tenth of a pixel. */
export function pc(share: number): string {
  return `${Math.round(share * 1e4) / 100}%`;
}

/** Horizontal place in a strip or an area: its ends are kept free, so that a marker at an end is whole. */
export const inset = (share: number): number => 0.02 + 0.96 * share;

/**
 * Labels below an area or above a column of strips. Narrow places show every other one, the narrowest those at the ends.
 * @param place of a share of the axis
 */
export function labelRow(axis: Axis, place: (share: number) => number = inset): Markup {
  const last = axis.marks.length - 1;
  // The first label and the last one stay, with those between that leave a gap.
  const step = last % 2 === 0 ? 2 : last;
  return html`<div class="labels"><svg width="100%" height="16" aria-hidden="true">${axis.marks.map((mark, k) => {
    const anchor = k === 0 ? "start" : k === last ? "end" : "middle";
    const x = k === 0 ? 0 : k === last ? 1 : place(axis.at(mark));
    return html`<text class="tick${k % step !== 0 ? " minor" : k > 0 && k < last && " middle"}" x="${pc(x)}" y="12" text-anchor="${anchor}">${axis.labels[k]}</text>`;
  })}</svg></div>`;
}

export interface Area {
  /** Description for readers who cannot see the figure. */
  readonly label: string;
  /** Pixels. */
  readonly height: number;
  /** Vertical; its highest mark is at the top. */
  readonly up: Axis;
  /** Horizontal; without it there are no marks across. */
  readonly across?: Axis | undefined;
  /** What the axes show: the vertical one's stands above the figure. */
  readonly names?: { readonly x?: string; readonly y?: string };
  /** Class of the figure. */
  readonly kind?: string;
}

/** Vertical place in an area of a value of its axis, as a percentage. */
export const upwards = (axis: Axis, value: number): string => pc(1 - axis.at(value));

/** A figure with axes. @param content elements whose places are percentages of the area */
export function areaFigure({ label, height, up, across, names = {}, kind = "" }: Area, content: Markup): Markup {
  return html`<div class="area ${kind}">${names.y && html`<div class="y-name">${names.y}</div>`}
<svg class="y-axis" height="${height}" aria-hidden="true">${up.marks.map((mark, k) => html`<text class="tick" x="100%" y="${upwards(up, mark)}" text-anchor="end" dominant-baseline="central">${up.labels[k]}</text>`)}</svg>
<svg class="plot" role="img" aria-label="${label}" width="100%" height="${height}">${up.marks.map((mark) => html`<line class="grid" x1="0" x2="100%" y1="${upwards(up, mark)}" y2="${upwards(up, mark)}"/>`)}${across?.marks.map((mark) => html`<line class="grid" x1="${pc(inset(across.at(mark)))}" x2="${pc(inset(across.at(mark)))}" y1="0" y2="100%"/>`)}${content}</svg>
${across && html`<div class="x-axis">${labelRow(across)}</div>`}${names.x && html`<div class="x-name">${names.x}</div>`}</div>`;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A line through points that stretches with its area. */
export function polyline(kind: string, points: readonly Point[], across: Axis, up: Axis): Markup {
  const place = ({ x, y }: Point): string =>
    `${(inset(across.at(x)) * 1000).toFixed(1)} ${((1 - up.at(y)) * 1000).toFixed(1)}`;
  const d = points.map((point, k) => `${k === 0 ? "M" : "L"}${place(point)}`).join("");
  return html`<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%" overflow="visible"><path class="${kind}" d="${d}"/></svg>`;
}
