/** The report's section on affinities: the matrix, the facts of the estimate, and the candidate partitions. */
import * as format from "../../../shared/base/format.js";
import { DIVERGING, SEQUENTIAL } from "../colours.js";
import { legend, matrixFigure, trialPlot } from "../figures.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../types.js";
import { contrast, groupName, quantile, spreadOf, type View } from "../views.js";
import { base64, factRows, facts, MANY, type MatrixData } from "./values.js";

/** Standard deviations at the ends of the affinity's colour scale. */
const STANDARD_END = 2.5;

export function affinitySection(view: View, data: Record<string, MatrixData>): Markup {
  const { report, order, bounds } = view;
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
  // Quantiles, so that one outlier does not make all other colours equal.
  const [lo, hi] = [quantile(raw, 0.01), quantile(raw, 0.99)];
  const cell = Math.max(2, Math.min(40, Math.floor((n <= MANY ? 560 : 620) / Math.max(1, n))));
  const bands = bounds.slice(0, -1).map((_, g) => groupName(g));
  const figure = matrixFigure({
    id: "affinity",
    label: `Affinity of ${n} clients, ordered by group`,
    rows: n,
    columns: n,
    images: [
      { name: "standard", positions: standard.map((z) => 0.5 + z / (2 * STANDARD_END)), scale: DIVERGING },
      { name: "raw", positions: raw.map((x) => (hi > lo ? (x - lo) / (hi - lo) : 0.5)), scale: SEQUENTIAL },
    ],
    rowBounds: bounds,
    columnBounds: bounds,
    rowBands: bands,
    columnBands: bands,
    rowNames: names,
    cellWidth: cell,
    cellHeight: cell,
    blocks: true,
  });
  const means = contrast(view);
  const { estimation } = report;
  // Standardising shows noise at full contrast too, so the text says the size of a standard deviation.
  const scale =
    n > 2 && html` One standard deviation is ${format.significant(spreadOf(report.affinity), 2)} in the median row.`;
  const across =
    means.across !== null &&
    html` On average, affinities within groups are ${format.signed(means.inside ?? 0, 2)} standard deviations from the row's mean, affinities across groups ${format.signed(means.across, 2)}.`;
  return html`<section id="affinity"><h2>Affinities</h2>
<p class="lead">Row i, column j: the estimated performance of client i after tuning on random sets of clients that contain i and j. Higher is better.${across}${scale}</p>
<div class="split"><figure class="tabs"><input type="radio" name="view" id="view-standard" checked><label for="view-standard">Standardised by row</label><input type="radio" name="view" id="view-raw"><label for="view-raw">As estimated</label>
<div class="panes"><div class="scroll">${figure}</div>
${legend("standard", DIVERGING, [`${format.fixed(-STANDARD_END, 1)} worse than the row's mean`, `+${format.fixed(STANDARD_END, 1)} better`])}
${legend("raw", SEQUENTIAL, [format.significant(lo, 3), format.significant(hi, 3)])}</div>
<figcaption>Clients in the order of the groups found; groups are outlined.${n > MANY && " Point at a cell to see its clients."}</figcaption></figure>
<div><h3>Estimation</h3>${facts([
    ["Random subsets", `${format.count(estimation.subsets)} of ${format.counted(estimation.subsetSize, "client")}`],
    ["Subsets per pair", coverage(report)],
    ["Sketched gradient", `${format.count(estimation.dim)} numbers per example`],
    ...factRows(estimation.facts),
  ])}${groupingBlock(view)}</div></div></section>`;
}

function coverage(report: Report): string {
  const { min, mean, max } = report.estimation.pairCoverage;
  return `${format.fixed(mean, 1)} on average (${format.count(min)} to ${format.count(max)})`;
}

function groupingBlock(view: View): Markup | "" {
  const { candidates, reason, measure } = view.report.grouping;
  if (candidates.length === 0) return "";
  const valued = candidates.filter((candidate) => candidate.judged !== null);
  const plot =
    new Set(valued.map((candidate) => candidate.groups)).size > 2 &&
    trialPlot(
      valued.map((candidate) => ({
        x: candidate.groups,
        y: candidate.judged ?? 0,
        chosen: candidate.chosen,
        label: String(candidate.groups),
        tip: `${candidate.label}\n${format.counted(candidate.groups, "group")}: ${format.fixed(candidate.judged, 4)}${candidate.chosen ? "\nchosen" : ""}`,
      })),
      {
        x: "groups",
        y: "value",
        logarithmic: false,
        joined: false,
        label: "Value of partitions by number of groups",
      },
    );
  const rows = candidates.map(
    (candidate) =>
      html`<tr><td class="left">${candidate.label}</td><td>${candidate.groups}</td><td>${format.fixed(candidate.judged, 4)}</td><td class="left">${candidate.chosen ? html`<b class="good">chosen</b>` : ""}</td></tr>`,
  );
  const table = html`<table><thead><tr><th>Partition</th><th>Groups</th><th>Value</th><th></th></tr></thead><tbody>${rows}</tbody></table>`;
  return html`<h3 id="grouping" class="gap">Choice of the groups</h3><p>${reason}</p>${plot}
<p class="lead">${measure ? html`Value: ${measure}; higher is better.` : "Value by the estimator; higher is better."}</p>${
    candidates.length > 10
      ? html`<details><summary>All ${candidates.length} candidate partitions</summary><div class="scroll">${table}</div></details>`
      : html`<div class="scroll">${table}</div>`
  }`;
}
