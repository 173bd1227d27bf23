/** Marks of methods, bars and strips: methods differ in shape, so that colours can stand for groups alone. */
import { html, type Markup } from "../markup.js";
import type { Interval, MethodName } from "../types.js";
import { type Axis, inset, pc } from "./axis.js";

/** What a mark stands for: a method's measured value, or an estimate. */
export type MarkName = MethodName | "estimate";

/** Shapes around 0, 0. */
const SHAPES: Readonly<Record<MarkName, Markup>> = {
  base: html`<path class="mark base" d="M-3.4 -3.4l6.8 6.8m0 -6.8l-6.8 6.8"/>`,
  shared: html`<rect class="mark shared" x="-3.6" y="-3.6" width="7.2" height="7.2"/>`,
  local: html`<path class="mark local" d="M0 -5l5 5l-5 5l-5 -5z"/>`,
  full: html`<path class="mark full" d="M0 -4.8l5 8.6h-10z"/>`,
  kindred: html`<circle class="mark kindred" r="4.8"/>`,
  estimate: html`<circle class="mark estimate" r="4.4"/>`,
};

/** @param x percentage. @param y pixels or percentage */
export function marker(method: MarkName, x: string, y: number | string, tip?: string): Markup {
  return html`<svg x="${x}" y="${y}" overflow="visible"${tip !== undefined && html` data-tip="${tip}"`}>${SHAPES[method]}</svg>`;
}

/** The marker alone, for legends and headings. */
export function key(method: MarkName): Markup {
  return html`<svg class="key" width="12" height="12" aria-hidden="true"><svg x="6" y="6" overflow="visible">${SHAPES[method]}</svg></svg>`;
}

/** Number of group colours in the style; further groups repeat them, so their number is always beside the colour. */
export const GROUP_COLOURS = 8;

/** Class of a group's colour. @param group from 0 */
export const groupClass = (group: number): string => `g${group % GROUP_COLOURS}`;

/** A group's colour alone, beside its name. */
export function groupSwatch(group: number): Markup {
  return html`<svg class="key ${groupClass(group)}" width="11" height="11" aria-hidden="true"><rect width="11" height="11" rx="2.5"/></svg>`;
}

/** A group's colour with its number, which counts from 1. */
export function groupKey(group: number): Markup {
  return html`<span class="group-key">${groupSwatch(group)}${group + 1}</span>`;
}

export interface Dot {
  readonly method: MarkName;
  readonly value: number;
  readonly interval?: Interval | undefined;
}

/** One row of a dot plot. */
export function stripRow(axis: Axis, dots: readonly Dot[], group?: number): Markup {
  const x = (value: number): string => pc(inset(axis.at(value)));
  const grid = axis.marks.map((mark) => html`<line class="grid" x1="${x(mark)}" x2="${x(mark)}" y1="0" y2="100%"/>`);
  const whiskers = dots.map(
    ({ interval }) =>
      interval && html`<line class="whisker" x1="${x(interval[0])}" x2="${x(interval[1])}" y1="50%" y2="50%"/>`,
  );
  return html`<svg class="strip ${group !== undefined && groupClass(group)}" width="100%" height="22" aria-hidden="true">${grid}${whiskers}${dots.map(({ method, value }) => marker(method, x(value), "50%"))}</svg>`;
}

/** A bar from zero, with its interval. @param axis covers zero */
export function gainBar(axis: Axis, value: number, interval: Interval | undefined, group: number | undefined): Markup {
  const x = (v: number): number => inset(axis.at(v));
  const [from, to] = [Math.min(x(0), x(value)), Math.max(x(0), x(value))];
  const across = (kind: string, left: number, right: number): Markup =>
    html`<line class="${kind}" x1="${pc(left)}" x2="${pc(right)}" y1="50%" y2="50%"/>`;
  const upright = (kind: string, mark: number): Markup =>
    html`<line class="${kind}" x1="${pc(x(mark))}" x2="${pc(x(mark))}" y1="0" y2="100%"/>`;
  const grid = axis.marks.map((mark) => mark !== 0 && upright("grid", mark));
  // The interval has the page's colour around it, so that it is seen on a bar of any colour.
  const [edge, whisker] = ["whisker-edge", "whisker"].map(
    (kind) => interval && across(kind, x(interval[0]), x(interval[1])),
  );
  return html`<svg class="strip ${group === undefined ? "all" : groupClass(group)}" width="100%" height="22" aria-hidden="true">${grid}<rect class="gain" x="${pc(from)}" y="23%" width="${pc(to - from)}" height="54%"/>${edge}${upright("zero", 0)}${whisker}</svg>`;
}

/** A bar beside a number: its share of the largest. */
export function bar(share: number): Markup {
  const length = Math.max(share > 0 ? 0.01 : 0, Math.min(1, share));
  return html`<svg class="bar" width="100%" height="10" aria-hidden="true"><rect class="track" width="100%" height="10" rx="2"/><rect class="fill" width="${pc(length)}" height="10" rx="2"/></svg>`;
}
