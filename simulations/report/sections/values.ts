/** Parts of the report's sections: values as text, with their intervals, lists of facts, folded cards, the data of matrices. */
import * as format from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import type { Difference, Fact, Interval, TestScore } from "../types.js";
import { intervalIn, type Metric, metricOf, type View } from "../views.js";

/** With more clients their names are shown at the pointer only, and tables scroll inside the page. */
export const MANY = 40;

/** Values of a matrix for the pointer, in layers: float32 suffices for the four digits shown. */
export interface MatrixData {
  rows: readonly string[];
  columns: readonly string[];
  joint: string;
  layers: { label: string; values: string }[];
}

export function base64(values: Iterable<number>): string {
  const floats = Float32Array.from(values);
  const bytes = Buffer.alloc(floats.length * 4);
  floats.forEach((x, i) => {
    bytes.writeFloatLE(x, i * 4);
  });
  return bytes.toString("base64");
}

/** Names that differ in their ends alone stay apart where there is room for a part of them. Scripts whose letters join stay whole. */
const NAME = /^([!-~]{3,})([!-~]{3})$/;

/** The heading of a client's row of a plot: cut in its middle where it is too long. @param key before the name */
export function clientHeading(client: string, key: Markup | "" = ""): Markup {
  const [, head, tail] = NAME.exec(client) ?? [];
  const name = head === undefined ? html`<span>${client}</span>` : html`<span>${head}</span><span>${tail}</span>`;
  return html`<th scope="row" class="who" title="${client}"><div class="cut">${key}<bdi>${name}</bdi></div></th>`;
}

/** A value of the metric without its unit. */
export const cellText = (metric: Metric, value: number | null | undefined): string =>
  metric === "accuracy" ? format.percent(value) : format.loss(value);

export function metricText({ metric }: View, value: number | null | undefined): string {
  return metric === "accuracy" ? `${cellText(metric, value)} %` : cellText(metric, value);
}

/** The size of a gain or a loss with its interval: "23.1 points (20.0 to 26.4)", "0.214 nats". */
export function gainText(view: View, { value, interval }: Difference): string {
  const sign = value < 0 ? -1 : 1;
  const size = (x: number): string => cellText(view.metric, sign * x);
  const within = interval && (sign < 0 ? ([interval[1], interval[0]] as const) : interval);
  return `${size(value)} ${view.metric === "accuracy" ? "points" : "nats"}${within ? ` (${rangeText(within, size)})` : ""}`;
}

export function gainCell(view: View, value: number | null): string {
  if (value === null) return format.fixed(null, 0);
  return view.metric === "accuracy" ? format.signed(value * 100, 1) : format.signed(value, 3);
}

/** The unit of a metric, as axes and headings say it. */
export const unitOf = (metric: Metric): string => (metric === "accuracy" ? "accuracy, %" : "loss, nats per token");

/** "90.1 to 92.4"; nothing where there is no interval. */
export function rangeText(interval: Interval | undefined, text: (value: number) => string): string {
  return interval === undefined ? "" : `${text(interval[0])} to ${text(interval[1])}`;
}

export const range = (interval: Interval | undefined, text: (value: number) => string): Markup | "" =>
  interval === undefined ? "" : html`<span class="range">${rangeText(interval, text)}</span>`;

/** A score in a metric with its interval, as the content of a cell. */
export const scoreCell = (metric: Metric, score: TestScore | undefined): Markup =>
  html`${cellText(metric, metricOf(score, metric))} ${range(intervalIn(score, metric), (value) => cellText(metric, value))}`;

export const differenceCell = (view: View, difference: Difference | undefined): Markup =>
  html`${gainCell(view, difference?.value ?? null)} ${range(difference?.interval, (value) => gainCell(view, value))}`;

export function factRows(record: Readonly<Record<string, Fact>> | undefined): [string, string][] {
  return Object.entries(record ?? {}).map(([name, value]) => [
    name,
    typeof value === "number" ? format.plain(value) : String(value),
  ]);
}

export function facts(rows: readonly (readonly [string, string | Markup])[]): Markup {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

export function rateText(rate: number): string {
  return rate >= 0.01
    ? String(Number(rate.toPrecision(3)))
    : Number(rate.toPrecision(3)).toExponential().replace("-", "−");
}

/** A part of the page that is folded until it is asked for. @param note what is in it, in a few words */
export function folded(id: string, title: string, note: string, body: Markup): Markup {
  return html`<details class="card" id="${id}"><summary><h2>${title}</h2><span class="note">${note}</span></summary><div class="body">${body}</div></details>`;
}

/** A table that scrolls inside the page where it is too wide: reached by the keyboard, and named. */
export function scrolling(label: string, table: Markup, tall = false): Markup {
  return html`<div class="scroll${tall && " tall"}" tabindex="0" role="group" aria-label="${label}">${table}</div>`;
}
