/** Parts of the report's sections: values as text, lists of facts, the data of matrices. */
import * as format from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import type { Fact } from "../types.js";
import type { View } from "../views.js";

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

export function metricText(view: View, value: number | null | undefined): string {
  return view.metric === "accuracy" ? `${format.percent(value)} %` : format.loss(value);
}

/** "23.1 points", "0.214 nats". */
export function gainText(view: View, value: number): string {
  const size = Math.abs(value);
  return view.metric === "accuracy" ? `${format.percent(size)} points` : `${format.loss(size)} nats`;
}

export function gainCell(view: View, value: number | null): string {
  if (value === null) return format.fixed(null, 0);
  return view.metric === "accuracy" ? format.signed(value * 100, 1) : format.signed(value, 3);
}

export function mood(value: number | null): string {
  return value === null || value === 0 ? "" : value > 0 ? "good" : "bad";
}

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
