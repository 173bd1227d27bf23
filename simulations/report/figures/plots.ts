/** Figures with axes: scatter plots, lines of several series, columns from zero, loss curves. They know nothing of reports. */
import { fixed, significant } from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import {
  type Axis,
  areaFigure,
  inset,
  linearAxis,
  logarithmicAxis,
  type Point,
  pc,
  polyline,
  upwards,
} from "./axis.js";
import { GROUP_COLOURS, groupClass } from "./marks.js";

export interface ScatterDot extends Point {
  readonly tip: string;
  /** Its colour; none: ink. */
  readonly group?: number | undefined;
}

/** One scale on both axes, with the diagonal of equality. */
export function scatter(
  dots: readonly ScatterDot[],
  axes: { readonly x: string; readonly y: string; readonly label: string; readonly percent: boolean },
): Markup {
  const axis = linearAxis(
    dots.flatMap(({ x, y }) => [x, y]),
    { percent: axes.percent },
  );
  const [lo, hi] = [axis.marks[0]!, axis.marks.at(-1)!];
  const diagonal = polyline(
    "diagonal",
    [
      { x: lo, y: lo },
      { x: hi, y: hi },
    ],
    axis,
    axis,
  );
  const drawn = dots.map(
    ({ x, y, tip, group }) =>
      html`<circle class="dot ${group !== undefined && groupClass(group)}" cx="${pc(inset(axis.at(x)))}" cy="${upwards(axis, y)}" r="${dots.length > 120 ? 3 : 4.5}" data-tip="${tip}"/>`,
  );
  return areaFigure(
    { label: axes.label, height: 300, up: axis, across: axis, names: axes, kind: "square" },
    html`${diagonal}${drawn}`,
  );
}

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface SeriesAxes {
  readonly x: string;
  readonly y: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  /** Description of the figure for readers who cannot see it. */
  readonly label: string;
}

const axisBy = (logarithmic: boolean | undefined, values: readonly number[]): Axis =>
  logarithmic ? logarithmicAxis(values) : linearAxis(values);

/** @param series at least one point each; positive where the axis is logarithmic */
export function seriesPlot(series: readonly Series[], { x, y, logX, logY, label }: SeriesAxes): Markup {
  const points = series.flatMap((one) => one.points);
  const across = axisBy(
    logX,
    points.map((point) => point.x),
  );
  const up = axisBy(
    logY,
    points.map((point) => point.y),
  );
  const keys = series.map(
    ({ name }, k) =>
      html`<span><svg class="key ${groupClass(k)}" width="12" height="12" aria-hidden="true"><circle class="dot" cx="6" cy="6" r="4.5"/></svg> ${name}</span>`,
  );
  const drawn = series.map(({ name, points: own }, k) => {
    const dots = own.map(
      (point) =>
        html`<circle class="dot" cx="${pc(inset(across.at(point.x)))}" cy="${upwards(up, point.y)}" r="3.5" data-tip="${`${name}\n${x} ${significant(point.x)}: ${significant(point.y)}`}"/>`,
    );
    const dash = Math.floor(k / GROUP_COLOURS) % 2 === 1 && " dashed";
    return html`<g class="${groupClass(k)}${dash}">${polyline("series", own, across, up)}${dots}</g>`;
  });
  return html`<div class="keys">${keys}</div>${areaFigure({ label, height: 240, up, across, names: { x, y } }, html`${drawn}`)}`;
}

export interface Column {
  readonly value: number;
  readonly interval?: readonly [number, number] | undefined;
  readonly group: number;
  readonly tip: string;
}

/** Columns from a zero line, in the order given. @param label description for readers who cannot see the figure */
export function columns(items: readonly Column[], axis: Axis, { y, label }: { y: string; label: string }): Markup {
  const width = 1 / Math.max(1, items.length);
  const zero = axis.at(0);
  const drawn = items.map(({ value, interval, group, tip }, k) => {
    const top = Math.max(axis.at(value), zero);
    const bottom = Math.min(axis.at(value), zero);
    const middle = pc((k + 0.5) * width);
    return html`<g class="${groupClass(group)}" data-tip="${tip}"><rect class="gain" x="${pc((k + 0.1) * width)}" width="${pc(0.8 * width)}" y="${pc(1 - top)}" height="${pc(top - bottom)}"/>${interval && html`<line class="whisker thin" x1="${middle}" x2="${middle}" y1="${upwards(axis, interval[0])}" y2="${upwards(axis, interval[1])}"/>`}</g>`;
  });
  const line = html`<line class="zero" x1="0" x2="100%" y1="${pc(1 - zero)}" y2="${pc(1 - zero)}"/>`;
  return areaFigure({ label, height: 300, up: axis, names: { y } }, html`${drawn}${line}`);
}

export interface Line {
  readonly kind: "validation" | "train" | "ghost";
  readonly points: readonly Point[];
}

/** One panel of the loss curves. Panels that are compared have the same axes. */
export function curvePanel(
  { title, unit, group }: { readonly title: string; readonly unit: string; readonly group: number | undefined },
  lines: readonly Line[],
  { across, up }: { readonly across: Axis; readonly up: Axis },
): Markup {
  const drawn = lines.map(({ kind, points }) => {
    const dots = kind === "ghost" ? [] : points;
    return html`${polyline(`curve ${kind}`, points, across, up)}${dots.map((point, k) => {
      const end = k === dots.length - 1 && kind === "validation" && " end";
      const tip = `${title}\n${unit} ${point.x}: ${kind} loss ${fixed(point.y, 4)}`;
      return html`<circle class="vertex${end}" cx="${pc(inset(across.at(point.x)))}" cy="${upwards(up, point.y)}" r="${end ? 3.5 : 5}" data-tip="${tip}"/>`;
    })}`;
  });
  const kind = group === undefined ? "" : groupClass(group);
  return areaFigure(
    { label: `Loss curves of ${title}`, height: 140, up, across, names: { x: unit }, kind },
    html`${drawn}`,
  );
}

export interface Trial extends Point {
  readonly chosen: boolean;
  readonly tip: string;
  readonly interval?: readonly [number, number] | undefined;
}

/** Few points over a horizontal scale that may be logarithmic, the chosen one marked. */
export function trialPlot(
  points: readonly Trial[],
  axes: { x: string; y: string; logarithmic: boolean; joined: boolean; label: string },
): Markup {
  const xs = points.map(({ x }) => x);
  const across = axisBy(axes.logarithmic, xs);
  const up = linearAxis(
    points.flatMap(({ y, interval }) => [y, ...(interval ?? [])]),
    { wanted: 4 },
  );
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const drawn = sorted.map(({ x, y, chosen, tip, interval }) => {
    const cx = pc(inset(across.at(x)));
    const whisker =
      interval &&
      html`<line class="whisker thin" x1="${cx}" x2="${cx}" y1="${upwards(up, interval[0])}" y2="${upwards(up, interval[1])}"/>`;
    return html`${whisker}<circle class="${chosen ? "trial chosen" : "trial"}" cx="${cx}" cy="${upwards(up, y)}" r="${chosen ? 6 : 4}" data-tip="${tip}"/>`;
  });
  const path = axes.joined && polyline("curve train", sorted, across, up);
  return areaFigure({ label: axes.label, height: 190, up, across, names: axes }, html`${path}${drawn}`);
}
