/** The report's section on affinities: who helps whom, or that no structure was found. */
import * as format from "../../../shared/base/format.js";
import { INK } from "../colours.js";
import { legend, matrixFigure } from "../figures/matrix.js";
import { html, type Markup } from "../markup.js";
import { contrast, noStructure, quantile, spreadOf, type View } from "../views.js";
import { base64, MANY, type MatrixData, scrolling } from "./values.js";

/** Standard deviations at the ends of the affinity's scale. */
const STANDARD_END = 2.5;
/** With more clients a table of numbers is no help; they are in affinity.csv. */
const TABLE = 24;

export function affinitySection(view: View, data: Record<string, MatrixData>): Markup {
  const { report } = view;
  const none = noStructure(view);
  if (none !== undefined) {
    const numbers = report.clients.length > 1 && " The numbers are in affinity.csv beside this page.";
    return html`<section id="affinity"><h2>Who helps whom</h2><p class="lead"><b>${none}</b>${numbers}</p></section>`;
  }
  const means = contrast(view);
  // Standardising shows noise at full contrast too, so the text says the size of a standard deviation.
  const scale = html`One standard deviation is ${format.significant(spreadOf(report.affinity), 2)} nats in the median row${report.estimation.standardError ? `, and the choice of subsets alone gives ${format.significant(report.estimation.standardError, 2)}` : ""}.`;
  const across =
    means.across !== null &&
    html` Within groups affinities are on average ${format.signed(means.inside ?? 0, 2)} standard deviations from the row's mean, across groups ${format.signed(means.across, 2)}.`;
  return html`<section id="affinity"><h2>Who helps whom</h2>
<p class="lead">An estimate, before any group was trained. Row i, column j: how client i fares after tuning on random sets of clients that contain i and j. Higher is better.${across} ${scale}</p>
${matrixBlock(view, data)}</section>`;
}

function matrixBlock(view: View, data: Record<string, MatrixData>): Markup {
  const { report, order } = view;
  const n = order.length;
  const raw = new Float64Array(n * n);
  const standard = new Float64Array(n * n);
  order.forEach((i, r) => {
    order.forEach((j, c) => {
      raw[r * n + c] = report.affinity[i]?.[j] ?? Number.NaN;
      standard[r * n + c] = view.standard[i * n + j] ?? 0;
    });
  });
  const names = order.map((i) => report.clients[i] ?? "");
  data.affinity = {
    rows: names,
    columns: names,
    joint: " with ",
    layers: [
      { label: "affinity", values: base64(raw) },
      { label: "standard deviations from its row's mean:", values: base64(standard) },
    ],
  };
  // Quantiles, so that one outlier does not make all other cells equal.
  const [lo, hi] = [quantile(raw, 0.01), quantile(raw, 0.99)];
  const groups = order.map((i) => view.groupOf[i] ?? 0);
  const figure = (name: "standard" | "raw", positions: Float64Array): Markup =>
    matrixFigure({
      id: "affinity",
      label: `Affinity of ${n} clients, ordered by group, ${name === "raw" ? "as estimated" : "by row"}`,
      rows: n,
      columns: n,
      images: [{ name, positions, scale: INK }],
      rowGroups: groups,
      columnGroups: groups,
      rowNames: names,
      square: true,
    });
  return html`<div class="tabs"><input type="radio" name="view" id="view-standard" checked><label for="view-standard">By row</label><input type="radio" name="view" id="view-raw"><label for="view-raw">As estimated</label>
<div class="pane">${figure(
    "standard",
    standard.map((z) => 0.5 + z / (2 * STANDARD_END)),
  )}${legend("standard", INK, [`${format.fixed(-STANDARD_END, 1)} standard deviations: worse than the row's mean`, `+${format.fixed(STANDARD_END, 1)}: better`])}</div>
<div class="pane">${figure(
    "raw",
    raw.map((x) => (hi > lo ? (x - lo) / (hi - lo) : 0.5)),
  )}${legend("raw", INK, [format.significant(lo, 3), `${format.significant(hi, 3)} nats`])}</div></div>
<p class="note">Clients in the order of the groups found; groups are outlined.${n > MANY && " Point at a cell to see its clients."}</p>${n <= TABLE ? numberTable(names, standard) : ""}`;
}

function numberTable(names: readonly string[], standard: Float64Array): Markup {
  const n = names.length;
  const rows = names.map(
    (name, r) =>
      html`<tr><th scope="row" class="name">${name}</th>${names.map((_, c) => html`<td>${r === c ? "" : format.signed(standard[r * n + c], 1)}</td>`)}</tr>`,
  );
  const head = names.map((name) => html`<th scope="col" class="name">${name}</th>`);
  return html`<details><summary>The same as a table</summary>${scrolling("Affinities in standard deviations from the row's mean", html`<table class="counts"><thead><tr><th class="name">Client</th>${head}</tr></thead><tbody>${rows}</tbody></table>`)}</details>`;
}
