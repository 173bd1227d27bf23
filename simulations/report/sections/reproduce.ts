/** The report's section on the reproduction of the run: command, model, versions, configuration. */
import * as format from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import type { View } from "../views.js";
import { factRows, facts, rateText } from "./values.js";

export function reproduceSection(view: View): Markup {
  const { report } = view;
  const { model } = report;
  return html`<section id="reproduce"><h2>Reproduction</h2>
${report.command !== undefined && html`<pre>${report.command}</pre><br>`}
<div class="row">${facts([
    ["Model", model.name],
    ...(model.parameters === undefined ? [] : ([["Parameters", format.count(model.parameters)]] as [string, string][])),
    ...(model.hash === undefined ? [] : ([["Model hash", model.hash]] as [string, string][])),
    ...factRows(model.facts),
    ["Seed", String(report.seed)],
    ["Learning rate", rateText(report.learningRate)],
    ...(report.full === undefined
      ? []
      : ([["Learning rate of all weights", rateText(report.full.learningRate)]] as [string, string][])),
  ])}${facts([...Object.entries(report.versions), ["Peak memory", format.bytes(report.peakRssBytes)]])}</div>
<details open><summary>Configuration</summary><br><pre>${JSON.stringify(report.config, null, 2) ?? ""}</pre></details></section>`;
}
