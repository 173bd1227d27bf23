/** A figure of several named lines over one horizontal scale, linear or logarithmic. It knows nothing of their meaning. */
import { significant, tickLabels } from "../../shared/base/format.js";
import { html, type Markup } from "./markup.js";
import { ticks } from "./views.js";

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface SeriesAxes {
  readonly x: string;
  readonly y: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  /** Description of the figure for readers who cannot see it. */
  readonly label: string;
}

/** Number of line colours in the style; further lines repeat them. */
const COLOURS = 6;
const SIZE = { width: 460, height: 260, left: 60, top: 12, right: 18, bottom: 46 } as const;

interface Scale {
  readonly marks: readonly number[];
  readonly labels: readonly string[];
  /** 0 .. 1 */
  readonly at: (value: number) => number;
}

function linear(values: readonly number[]): Scale {
  const marks = ticks(Math.min(...values), Math.max(...values), 5);
  const [lo, hi] = [marks[0]!, marks.at(-1)!];
  return { marks, labels: tickLabels(marks), at: (value) => (value - lo) / (hi - lo) };
}

/** Marks at 1, 2 and 5 of each decade that lie within the values' range, and just outside. */
function logarithmic(values: readonly number[]): Scale {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const from = Math.floor(Math.log10(least));
  const all = Array.from({ length: Math.ceil(Math.log10(most)) - from + 1 }, (_, k) =>
    [1, 2, 5].map((factor) => Number((factor * 10 ** (from + k)).toPrecision(1))),
  ).flat();
  const lo = all.filter((mark) => mark <= least * 1.0001).at(-1)!;
  const hi = all.find((mark) => mark >= most * 0.9999)!;
  const marks = hi > lo ? all.filter((mark) => mark >= lo && mark <= hi) : [lo, lo * 2];
  const span = Math.log(marks.at(-1)! / lo);
  return { marks, labels: marks.map((mark) => String(mark)), at: (value) => Math.log(value / lo) / span };
}

/** @param series at least one point each; positive where the axis is logarithmic */
export function seriesPlot(series: readonly Series[], { x, y, logX, logY, label }: SeriesAxes): Markup {
  const points = series.flatMap((one) => one.points);
  const scale = (log: boolean | undefined, values: readonly number[]) => (log ? logarithmic : linear)(values);
  const across = scale(
    logX,
    points.map((point) => point.x),
  );
  const up = scale(
    logY,
    points.map((point) => point.y),
  );
  const { width, height, left, top, right, bottom } = SIZE;
  const px = (value: number) => (left + across.at(value) * (width - left - right)).toFixed(1);
  const py = (value: number) => (height - bottom - up.at(value) * (height - top - bottom)).toFixed(1);
  const keys = series.map(
    ({ name }, k) =>
      html`<span><svg class="key series-${k % COLOURS}" width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="4.5"/></svg> ${name}</span>`,
  );
  return html`<div class="keys">${keys}</div><svg class="plot" role="img" aria-label="${label}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
${up.marks.map((mark, k) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${py(mark)}" y2="${py(mark)}"/><text class="tick" x="${left - 6}" y="${py(mark)}" text-anchor="end" dominant-baseline="central">${up.labels[k]}</text>`)}
${across.marks.map((mark, k) => html`<line class="grid" x1="${px(mark)}" x2="${px(mark)}" y1="${top}" y2="${height - bottom}"/><text class="tick" x="${px(mark)}" y="${height - bottom + 16}" text-anchor="middle">${across.labels[k]}</text>`)}
<text class="axis" x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">${x}</text>
<text class="axis" text-anchor="middle" transform="translate(12 ${(top + height - bottom) / 2}) rotate(-90)">${y}</text>
${series.map(({ name, points: own }, k) => {
  const path = own.map((point, i) => `${i === 0 ? "M" : "L"}${px(point.x)} ${py(point.y)}`).join("");
  return html`<g class="series-${k % COLOURS}"><path class="series" d="${path}"/>${own.map((point) => html`<circle cx="${px(point.x)}" cy="${py(point.y)}" r="3.5" data-tip="${`${name}\n${x} ${significant(point.x)}: ${significant(point.y)}`}"/>`)}</g>`;
})}
</svg>`;
}
