/** The report's section on cost: stage by stage, all methods on one scale. */
import * as format from "../../../shared/base/format.js";
import { bar, key } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import { METHODS, type MethodName, type StageCost } from "../types.js";
import { METHOD_NAMES, type View } from "../views.js";
import { scrolling } from "./values.js";

const MEASURES = [
  { id: "flops", name: "Computation", show: format.flops },
  { id: "bytesUp", name: "Sent by clients", show: format.bytes },
  { id: "bytesDown", name: "Sent to clients", show: format.bytes },
  { id: "wallSeconds", name: "Time", show: format.duration },
] as const satisfies readonly { id: keyof StageCost; name: string; show: (value: number) => string }[];

type Measure = (typeof MEASURES)[number];

export function costSection(view: View): Markup | "" {
  const { cost } = view.report;
  const methods = METHODS.filter((method) => cost[method] !== undefined);
  if (methods.length === 0) return "";
  const inputs = MEASURES.map(
    ({ id, name }, k) =>
      html`<input type="radio" name="cost" id="cost-${id}"${k === 0 && " checked"}><label for="cost-${id}">${name}</label>`,
  );
  const panes = MEASURES.map((measure) => html`<div class="pane">${pane(view, methods, measure)}</div>`);
  return html`<section id="cost"><h2>Cost by stage</h2>
<p class="lead">Operations are counted from the graphs, sketching and sweeps included; bytes are those on the wire. All bars of a measure are on one scale.</p>
<div class="tabs">${inputs}${panes}</div>
<details><summary>Totals as a table</summary>${totals(view, methods)}</details></section>`;
}

function pane({ report: { cost } }: View, methods: readonly MethodName[], { id, show }: Measure): Markup {
  const largest = Math.max(
    ...methods.flatMap((method) => Object.values(cost[method]!.stages).map((stage) => stage[id])),
  );
  const blocks = methods.map((method) => {
    const { stages, [id]: total } = cost[method]!;
    const rows = Object.entries(stages).filter(([, stage]) => stage[id] > 0);
    const lines = rows.map(
      ([name, stage]) =>
        html`<dt>${name}</dt><dd>${bar(largest > 0 ? stage[id] / largest : 0)}</dd><dd>${show(stage[id])}</dd>`,
    );
    return html`<div><h3><span>${key(method)} ${METHOD_NAMES[method]}</span><span class="soft">${show(total)}</span></h3>${lines.length > 0 && html`<dl class="costs">${lines}</dl>`}</div>`;
  });
  return html`<div class="panels">${blocks}</div>`;
}

function totals({ report: { cost } }: View, methods: readonly MethodName[]): Markup {
  const rows = methods.map(
    (method) =>
      html`<tr><th scope="row">${METHOD_NAMES[method]}</th>${MEASURES.map(({ id, show }) => html`<td>${show(cost[method]![id])}</td>`)}</tr>`,
  );
  return scrolling(
    "Cost of each method",
    html`<table><thead><tr><th>Method</th>${MEASURES.map(({ name }) => html`<th>${name}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`,
  );
}
