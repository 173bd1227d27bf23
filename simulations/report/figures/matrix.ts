/** Matrices as one image of a cell per value, with names and bands of groups beside it. They know nothing of reports. */
import { paletteOf, type Scale } from "../colours.js";
import { html, type Markup } from "../markup.js";
import { dataUri, encodePng } from "../png.js";
import { pc } from "./axis.js";
import { groupClass } from "./marks.js";

/** As many levels as the eye can distinguish, with an exact middle. */
const LEVELS = 127;

export interface MatrixImage {
  /** Row-major positions on the scale, 0..1. */
  readonly positions: Float64Array;
  readonly scale: { readonly light: Scale; readonly dark: Scale };
  /** Class of the image, by which the page shows and hides it. */
  readonly name: string;
}

export interface MatrixFigure {
  /** Key of the values for the pointer in the page's data. */
  readonly id: string;
  readonly label: string;
  readonly rows: number;
  readonly columns: number;
  readonly images: readonly MatrixImage[];
  /** Group of each row and of each column. */
  readonly rowGroups: readonly number[];
  readonly columnGroups: readonly number[];
  /** Names of the rows, shown where there is room. */
  readonly rowNames: readonly string[];
  /** As wide as high: rows and columns are the same in the same order, and blocks of equal groups are outlined. */
  readonly square: boolean;
}

/** Runs of equal numbers. */
function bandsOf(groups: readonly number[]): { group: number; from: number; to: number }[] {
  const bands: { group: number; from: number; to: number }[] = [];
  groups.forEach((group, k) => {
    const last = bands.at(-1);
    if (last?.group === group) last.to = k + 1;
    else bands.push({ group, from: k, to: k + 1 });
  });
  return bands;
}

/** Rows up to which names are shown in a place of any width, of 480 pixels, of 640. */
const ROOM = [12, 24, 40] as const;

export function matrixFigure(figure: MatrixFigure): Markup {
  const { rows, columns, rowGroups, columnGroups, square } = figure;
  const images = figure.images.flatMap((image) =>
    (["light", "dark"] as const).map((theme) => {
      const pixels = Uint8Array.from(image.positions, (x) => Math.round(Math.min(1, Math.max(0, x)) * (LEVELS - 1)));
      const uri = dataUri(encodePng(pixels, columns, paletteOf(image.scale[theme], LEVELS)));
      return html`<image class="${image.name} ${theme}" href="${uri}" x="0" y="0" width="100%" height="100%" preserveAspectRatio="none"/>`;
    }),
  );
  const across = bandsOf(columnGroups);
  const down = bandsOf(rowGroups);
  const cuts = [
    ...across.slice(1).map(({ from }) => cut(from / columns, 0, from / columns, 1)),
    ...down.slice(1).map(({ from }) => cut(0, from / rows, 1, from / rows)),
  ];
  const blocks = square
    ? across.map(
        ({ from, to }) =>
          html`<rect class="block" x="${pc(from / columns)}" y="${pc(from / rows)}" width="${pc((to - from) / columns)}" height="${pc((to - from) / rows)}"/>`,
      )
    : [];
  const top = html`<svg class="band top" width="100%" height="18" aria-hidden="true">${across.map(
    ({ group, from, to }) =>
      html`<g class="${groupClass(group)}"><rect x="${pc(from / columns)}" y="12" width="${pc((to - from) / columns)}" height="5"/></g>${(to - from) / columns > 0.05 && html`<text x="${pc((from + to) / 2 / columns)}" y="9" text-anchor="middle">${group + 1}</text>`}`,
  )}</svg>`;
  const side = html`<div class="side"><svg class="band" width="5" height="100%" aria-hidden="true">${down.map(
    ({ group, from, to }) =>
      html`<g class="${groupClass(group)}"><rect y="${pc(from / rows)}" width="5" height="${pc((to - from) / rows)}"/></g>`,
  )}</svg></div>`;
  const size = square ? ROOM.findIndex((most) => rows <= most) : 0;
  const names =
    size >= 0 &&
    html`<div class="names room-${size}" aria-hidden="true">${figure.rowNames.map((name) => html`<span>${name}</span>`)}</div>`;
  const height = square ? "" : html` height="${Math.max(22, rows * 22)}"`;
  const inner = html`${images}${cuts}${blocks}<rect class="cursor" width="${pc(1 / columns)}" height="${pc(1 / rows)}" visibility="hidden"/>`;
  const plot = html`<svg class="cells" role="img" aria-label="${figure.label}" width="100%"${height} data-matrix="${figure.id}">${inner}</svg>`;
  return html`<div class="matrix-place"><div class="matrix${square && " square"}">${top}${names}${side}${plot}</div></div>`;
}

function cut(x1: number, y1: number, x2: number, y2: number): Markup {
  return html`<line class="cut" x1="${pc(x1)}" y1="${pc(y1)}" x2="${pc(x2)}" y2="${pc(y2)}"/>`;
}

/** A bar of the scale's colours with what its ends mean. */
export function legend(
  name: string,
  scale: { light: Scale; dark: Scale },
  [low, high]: readonly [string, string],
): Markup {
  const ramp = Uint8Array.from({ length: LEVELS }, (_, k) => k);
  const images = (["light", "dark"] as const).map((theme) => {
    const uri = dataUri(encodePng(ramp, LEVELS, paletteOf(scale[theme], LEVELS)));
    return html`<image class="${theme}" href="${uri}" width="120" height="10" preserveAspectRatio="none"/>`;
  });
  return html`<span class="legend ${name}"><span>${low}</span><svg width="120" height="10" aria-hidden="true">${images}</svg><span>${high}</span></span>`;
}
