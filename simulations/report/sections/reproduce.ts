/** The report's section on the reproduction of the run: command, model, versions, configuration. */
import * as format from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import type { View } from "../views.js";
import { factRows, facts, folded, rateText } from "./values.js";

export function reproduceSection(view: View): Markup {
  const { report } = view;
  const { model } = report;
  const rows = (entries: readonly (readonly [string, string | undefined])[]) =>
    facts(entries.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])));
  const left = rows([
    ["Model", model.name],
    ["Parameters", model.parameters === undefined ? undefined : format.count(model.parameters)],
    ["Model hash", model.hash],
    ...factRows(model.facts),
    ["Seed", String(report.seed)],
    ["Learning rate", rateText(report.learningRate)],
    ["Learning rate of all weights", report.full && rateText(report.full.learningRate)],
  ]);
  const right = rows([...Object.entries(report.versions), ["Peak memory", format.bytes(report.peakRssBytes)]]);
  const command =
    report.command !== undefined && html`<pre tabindex="0" role="group" aria-label="Command">${report.command}</pre>`;
  return folded(
    "reproduce",
    "Reproduction",
    "command, model, versions, configuration",
    html`${command}<div class="row">${left}${right}</div><h3>Configuration</h3><pre tabindex="0" role="group" aria-label="Configuration">${JSON.stringify(report.config, null, 2) ?? ""}</pre>`,
  );
}
