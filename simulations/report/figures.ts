/**
 * The page's figures as inline SVG: matrices, scatter plots, loss curves, strips and bars. They take plain numbers and
 * names and know nothing of reports. Colours come from the page's style through classes, so that one drawing serves light
 * and dark; only a matrix has two images. `data-tip` holds the text shown at the pointer.
 */

import { fixed, tickLabels } from "../../shared/base/format.js";
import { paletteOf, type Scale } from "./colours.js";
import { html, type Markup } from "./markup.js";
import { dataUri, encodePng } from "./png.js";
import { ticks } from "./views.js";

/** Two decimals keep a page small; a hundredth of a pixel is invisible. */
function px(x: number): string {
  return String(Math.round(x * 100) / 100);
}

/** Shortens a label to its place; the full name is in the tip. */
function shortened(text: string, most: number): string {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join("")}…`;
}

/** As many levels as the eye can distinguish, with an exact middle. */
const LEVELS = 127;

export interface MatrixImage {
  /** Row-major positions on the scale, 0..1. */
  readonly positions: Float64Array;
  readonly scale: { readonly light: Scale; readonly dark: Scale };
  /** Class of the image's group, by which the page shows and hides it. */
  readonly name: string;
}

export interface MatrixFigure {
  /** Key of the values for the pointer in the page's data. */
  readonly id: string;
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  readonly images: readonly MatrixImage[];
  /** Starts of the bands of rows and of columns, then their ends. */
  readonly rowBounds: readonly number[];
  readonly columnBounds: readonly number[];
  /** Names of the bands, drawn where there is room. */
  readonly rowBands: readonly string[];
  readonly columnBands: readonly string[];
  /** Names of single rows, drawn where there is room. */
  readonly rowNames: readonly string[];
  /** Pixels. */
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Outline the diagonal blocks, where rows and columns are the same in the same order. */
  readonly blocks: boolean;
}

export function matrixFigure(figure: MatrixFigure): Markup {
  const { rows, columns, cellWidth, cellHeight, rowBounds, columnBounds } = figure;
  const named = cellHeight >= 11;
  const banded = figure.rowBands.some((name) => name !== "");
  const longest = Math.max(0, ...figure.rowNames.map((name) => Math.min(22, [...name].length)));
  const namesWidth = named ? Math.ceil(longest * 7) + 10 : 0;
  const left = namesWidth + (banded ? 30 : 0);
  const top = 26;
  const width = columns * cellWidth;
  const height = rows * cellHeight;
  const bandX = (k: number) => left + (columnBounds[k] ?? 0) * cellWidth;
  const bandY = (k: number) => top + (rowBounds[k] ?? 0) * cellHeight;
  const images = figure.images.flatMap((image) =>
    (["light", "dark"] as const).map((theme) => {
      const pixels = Uint8Array.from(image.positions, (x) => Math.round(Math.min(1, Math.max(0, x)) * (LEVELS - 1)));
      const uri = dataUri(encodePng(pixels, columns, paletteOf(image.scale[theme], LEVELS)));
      return html`<image class="${image.name} ${theme}" href="${uri}" x="${px(left)}" y="${top}" width="${px(width)}" height="${px(height)}" preserveAspectRatio="none"/>`;
    }),
  );
  // A band's name needs about 15 pixels across and 7 per character along.
  const columnNames = figure.columnBands.map((name, k) => {
    const room = bandX(k + 1) - bandX(k);
    const text = room >= 7 * name.length ? name : room >= 12 ? name.replace(/^\D+/, "") : "";
    return (
      text &&
      html`<text class="band" x="${px((bandX(k) + bandX(k + 1)) / 2)}" y="${top - 9}" text-anchor="middle">${text}</text>`
    );
  });
  const rowNames = figure.rowBands.map((name, k) => {
    const room = bandY(k + 1) - bandY(k);
    const text = room >= 7 * name.length ? name : room >= 12 ? name.replace(/^\D+/, "") : "";
    const y = (bandY(k) + bandY(k + 1)) / 2;
    return (
      text &&
      html`<text class="band" text-anchor="middle" transform="translate(${px(left - namesWidth - 14)} ${px(y)}) rotate(-90)">${text}</text>`
    );
  });
  const brackets = [
    ...figure.columnBands.map(
      (name, k) => name && line("bracket", bandX(k) + 1.5, top - 4, bandX(k + 1) - 1.5, top - 4),
    ),
    ...figure.rowBands.map((name, k) => {
      const x = left - namesWidth - 6;
      return name && line("bracket", x, bandY(k) + 1.5, x, bandY(k + 1) - 1.5);
    }),
  ];
  const cuts = [
    ...columnBounds.slice(1, -1).map((_, k) => line("cut", bandX(k + 1), top, bandX(k + 1), top + height)),
    ...rowBounds.slice(1, -1).map((_, k) => line("cut", left, bandY(k + 1), left + width, bandY(k + 1))),
  ];
  const blocks = figure.blocks
    ? rowBounds
        .slice(0, -1)
        .map(
          (_, k) =>
            html`<rect class="block" x="${px(bandX(k))}" y="${px(bandY(k))}" width="${px(bandX(k + 1) - bandX(k))}" height="${px(bandY(k + 1) - bandY(k))}"/>`,
        )
    : [];
  const names = named
    ? figure.rowNames.map(
        (name, i) =>
          html`<text class="name" x="${px(left - 6)}" y="${px(top + (i + 0.5) * cellHeight)}" text-anchor="end" dominant-baseline="central">${shortened(name, 22)}</text>`,
      )
    : [];
  const total = [left + width + 2, top + height + 2] as const;
  return html`<svg class="matrix" role="img" aria-label="${figure.label}" viewBox="0 0 ${px(total[0])} ${px(total[1])}" width="${px(total[0])}" height="${px(total[1])}" data-matrix="${figure.id}" data-area="${[left, top, width, height].map(px).join(" ")}">${images}${cuts}${blocks}${brackets}${columnNames}${rowNames}${names}<rect class="cursor" width="${px(cellWidth)}" height="${px(cellHeight)}" visibility="hidden"/></svg>`;
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): Markup {
  return html`<line class="${kind}" x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}"/>`;
}

/** A bar of the scale's colours with what its ends and middle mean. */
export function legend(name: string, scale: { light: Scale; dark: Scale }, labels: readonly string[]): Markup {
  const ramp = Uint8Array.from({ length: LEVELS }, (_, k) => k);
  const images = (["light", "dark"] as const).map((theme) => {
    const uri = dataUri(encodePng(ramp, LEVELS, paletteOf(scale[theme], LEVELS)));
    return html`<image class="${theme}" href="${uri}" width="160" height="10" preserveAspectRatio="none"/>`;
  });
  const [low = "", ...rest] = labels;
  const high = rest.pop() ?? "";
  return html`<span class="legend ${name}"><span>${low}</span><svg width="160" height="10" aria-hidden="true">${images}</svg><span>${high}</span>${rest.map((text) => html`<span class="aside">${text}</span>`)}</span>`;
}

/** Markers differ in shape as well as in colour. */
export type Mark = "base" | "shared" | "local" | "full" | "kindred";

export function marker(mark: Mark, x: number, y: number, tip?: string): Markup {
  const [a, b] = [px(x), px(y)];
  const title = tip === undefined ? "" : html` data-tip="${tip}"`;
  switch (mark) {
    case "base":
      return html`<circle class="mark base" cx="${a}" cy="${b}" r="3.2"${title}/>`;
    case "shared":
      return html`<rect class="mark shared" x="${px(x - 3.4)}" y="${px(y - 3.4)}" width="6.8" height="6.8" rx="0.8"${title}/>`;
    case "local":
      return html`<path class="mark local" d="M${a} ${px(y - 4.6)}l4.6 4.6l-4.6 4.6l-4.6 -4.6z"${title}/>`;
    case "full":
      return html`<path class="mark full" d="M${a} ${px(y - 4.4)}l4.6 8h-9.2z"${title}/>`;
    case "kindred":
      return html`<circle class="mark kindred" cx="${a}" cy="${b}" r="4.8"${title}/>`;
  }
}

/** The marker alone, for legends and headings. */
export function key(mark: Mark): Markup {
  return html`<svg class="key" width="12" height="12" aria-hidden="true">${marker(mark, 6, 6)}</svg>`;
}

export interface Strip {
  readonly lo: number;
  readonly hi: number;
  readonly width: number;
  readonly ticks: readonly number[];
}

/** Pixels kept free at both ends, so that a marker at an end is whole. */
const STRIP_PAD = 7;

export function stripOf(values: readonly number[], width: number): Strip {
  const known = values.filter(Number.isFinite);
  const marks = ticks(Math.min(...known, Number.POSITIVE_INFINITY), Math.max(...known, Number.NEGATIVE_INFINITY), 4);
  const usable = marks.every(Number.isFinite) ? marks : [0, 1];
  return { lo: usable[0] ?? 0, hi: usable.at(-1) ?? 1, width, ticks: usable };
}

function along(strip: Strip, value: number): number {
  return STRIP_PAD + ((value - strip.lo) / (strip.hi - strip.lo)) * (strip.width - 2 * STRIP_PAD);
}

/** One client's line of the dot plot: every method's marker, and a line from shared to Kindred. */
export function stripRow(
  strip: Strip,
  dots: readonly { readonly mark: Mark; readonly value: number }[],
  lift: { readonly from: number; readonly to: number; readonly good: boolean } | undefined,
): Markup {
  const height = 22;
  const grid = strip.ticks.map((t) => line("grid", along(strip, t), 0, along(strip, t), height));
  const bar =
    lift &&
    line(lift.good ? "lift good" : "lift bad", along(strip, lift.from), height / 2, along(strip, lift.to), height / 2);
  return html`<svg class="strip" width="${strip.width}" height="${height}" aria-hidden="true">${grid}${bar}${dots.map((dot) => marker(dot.mark, along(strip, dot.value), height / 2))}</svg>`;
}

export function stripAxis(strip: Strip, percent: boolean): Markup {
  const labels = tickLabels(percent ? strip.ticks.map((t) => t * 100) : strip.ticks);
  return html`<svg class="strip" width="${strip.width}" height="16" aria-hidden="true">${strip.ticks.map((t, k) => {
    const end = k === 0 ? "start" : k === strip.ticks.length - 1 ? "end" : "middle";
    const x = k === 0 ? 1 : k === strip.ticks.length - 1 ? strip.width - 1 : along(strip, t);
    return html`<text class="tick" x="${px(x)}" y="12" text-anchor="${end}">${labels[k]}</text>`;
  })}</svg>`;
}

export interface ScatterDot {
  readonly x: number;
  readonly y: number;
  readonly tip: string;
}

/** A square with the diagonal of equality; the half where `y` is better is shaded. */
export function scatter(
  dots: readonly ScatterDot[],
  axes: { x: string; y: string; betterAbove: boolean; label: string; percent: boolean },
): Markup {
  const size = 300;
  const [left, top] = [46, 8];
  const values = dots.flatMap((dot) => [dot.x, dot.y]);
  const marks = values.length > 0 ? ticks(Math.min(...values), Math.max(...values), 5) : [0, 1];
  const [lo, hi] = [marks[0] ?? 0, marks.at(-1) ?? 1];
  const labels = tickLabels(axes.percent ? marks.map((t) => t * 100) : marks);
  const x = (v: number) => left + ((v - lo) / (hi - lo)) * size;
  const y = (v: number) => top + size - ((v - lo) / (hi - lo)) * size;
  return html`<svg class="plot" role="img" aria-label="${axes.label}" viewBox="0 0 ${left + size + 16} ${top + size + 42}" width="${left + size + 16}" height="${top + size + 42}">
${marks.map((t) => [line("grid", x(t), top, x(t), top + size), line("grid", left, y(t), left + size, y(t))])}
<path class="better" d="M${left} ${top + size}L${left + size} ${top}${axes.betterAbove ? `H${left}` : `V${top + size}`}z"/>
<path class="diagonal" d="M${px(x(lo))} ${px(y(lo))}L${px(x(hi))} ${px(y(hi))}"/>
${marks.map((t, k) => html`<text class="tick" x="${px(x(t))}" y="${top + size + 16}" text-anchor="middle">${labels[k]}</text><text class="tick" x="${left - 6}" y="${px(y(t))}" text-anchor="end" dominant-baseline="central">${labels[k]}</text>`)}
<text class="axis" x="${left + size / 2}" y="${top + size + 36}" text-anchor="middle">${axes.x}</text>
<text class="axis" text-anchor="middle" transform="translate(11 ${top + size / 2}) rotate(-90)">${axes.y}</text>
${dots.map((dot) => html`<circle class="dot" cx="${px(x(dot.x))}" cy="${px(y(dot.y))}" r="${dots.length > 120 ? 3 : 4.5}" data-tip="${dot.tip}"/>`)}
</svg>`;
}

export interface Line {
  readonly kind: "validation" | "train" | "ghost";
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface PanelScale {
  readonly y: readonly number[];
  readonly width: number;
  readonly height: number;
}

/** One panel of the loss curves: all panels share the vertical scale, so that they compare at a glance. */
export function curvePanel(title: string, unit: string, lines: readonly Line[], scale: PanelScale): Markup {
  const [left, top, bottom, right] = [38, 8, 24, 10];
  const { width, height } = scale;
  const own = lines.filter((one) => one.kind !== "ghost").flatMap((one) => one.points.map((point) => point.x));
  const [x0, x1] = own.length > 0 ? [Math.min(...own), Math.max(...own)] : [0, 1];
  const [y0, y1] = [scale.y[0] ?? 0, scale.y.at(-1) ?? 1];
  const labels = tickLabels(scale.y);
  const w = width - left - right;
  const h = height - top - bottom;
  const x = (v: number) => left + (x1 > x0 ? (v - x0) / (x1 - x0) : 0.5) * w;
  const y = (v: number) => top + h - ((v - y0) / (y1 - y0)) * h;
  const drawn = lines.map((one) => {
    const inside = one.points.filter((point) => point.x >= x0 && point.x <= x1);
    const d = inside.map((point, k) => `${k === 0 ? "M" : "L"}${px(x(point.x))} ${px(y(point.y))}`).join("");
    const dots =
      one.kind === "ghost"
        ? []
        : inside.map((point, k) => {
            const tip = `${title}\n${unit} ${point.x}: ${one.kind} loss ${fixed(point.y, 4)}`;
            const end = k === inside.length - 1 && one.kind === "validation" ? " end" : "";
            return html`<circle class="vertex ${one.kind}${end}" cx="${px(x(point.x))}" cy="${px(y(point.y))}" r="3" data-tip="${tip}"/>`;
          });
    return html`<path class="curve ${one.kind}" d="${d}"/>${dots}`;
  });
  return html`<svg class="panel" role="img" aria-label="Loss curves of ${title}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
${scale.y.map((t, k) => html`${line("grid", left, y(t), width - right, y(t))}<text class="tick" x="${left - 6}" y="${px(y(t))}" text-anchor="end" dominant-baseline="central">${labels[k]}</text>`)}
<text class="tick" x="${left}" y="${height - 6}">${x1 > x0 ? x0 : ""}</text>
<text class="tick" x="${width - right}" y="${height - 6}" text-anchor="end">${unit} ${x1}</text>
${drawn}</svg>`;
}

/** A bar beside a number in a table: its share of the column's largest. */
export function bar(share: number, kind = ""): Markup {
  const width = 110;
  const length = Math.max(share > 0 ? 1.5 : 0, Math.min(1, share) * width);
  return html`<svg class="bar ${kind}" width="${width}" height="10" aria-hidden="true"><rect class="track" width="${width}" height="10" rx="2"/><rect class="fill" width="${px(length)}" height="10" rx="2"/></svg>`;
}

export interface TrialPoint {
  readonly x: number;
  readonly y: number;
  readonly chosen: boolean;
  readonly tip: string;
  readonly label: string;
}

/** Few points over a horizontal scale that may be logarithmic, the chosen one marked. */
export function trialPlot(
  points: readonly TrialPoint[],
  axes: { x: string; y: string; logarithmic: boolean; joined: boolean; label: string },
): Markup {
  const [width, height, left, top, right, bottom] = [420, 220, 56, 12, 20, 44];
  const place = (v: number) => (axes.logarithmic ? Math.log10(v) : v);
  const xs = points.map((point) => place(point.x));
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const ys = points.map((point) => point.y);
  const marks = ticks(Math.min(...ys), Math.max(...ys), 4);
  const labels = tickLabels(marks);
  const [y0, y1] = [marks[0] ?? 0, marks.at(-1) ?? 1];
  const w = width - left - right - 16;
  const h = height - top - bottom;
  const x = (v: number) => left + 8 + (x1 > x0 ? (place(v) - x0) / (x1 - x0) : 0.5) * w;
  const y = (v: number) => top + h - ((v - y0) / (y1 - y0)) * h;
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const names = new Map(sorted.map((point) => [point.x, point.label]));
  // Labels nearer than 30 pixels would run into each other.
  let last = Number.NEGATIVE_INFINITY;
  const shown = [...names].filter(([v]) => {
    if (x(v) - last < 30) return false;
    last = x(v);
    return true;
  });
  const path = sorted.map((point, k) => `${k === 0 ? "M" : "L"}${px(x(point.x))} ${px(y(point.y))}`).join("");
  return html`<svg class="plot" role="img" aria-label="${axes.label}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
${marks.map((t, k) => html`${line("grid", left, y(t), width - right, y(t))}<text class="tick" x="${left - 6}" y="${px(y(t))}" text-anchor="end" dominant-baseline="central">${labels[k]}</text>`)}
${axes.joined && html`<path class="curve validation" d="${path}"/>`}
${shown.map(([v, text]) => html`<text class="tick" x="${px(x(v))}" y="${height - bottom + 18}" text-anchor="middle">${text}</text>`)}
<text class="axis" x="${left + 8 + w / 2}" y="${height - 6}" text-anchor="middle">${axes.x}</text>
<text class="axis" text-anchor="middle" transform="translate(12 ${top + h / 2}) rotate(-90)">${axes.y}</text>
${sorted.map((point) => html`<circle class="${point.chosen ? "trial chosen" : "trial"}" cx="${px(x(point.x))}" cy="${px(y(point.y))}" r="${point.chosen ? 6 : 4}" data-tip="${point.tip}"/>`)}
</svg>`;
}
