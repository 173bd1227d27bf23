/** The report's section on faults of clients. */
import * as format from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import type { View } from "../views.js";

export function faultsSection(view: View): Markup | "" {
  const { faults } = view.report;
  if (faults.length === 0) return "";
  const shown = faults.slice(0, 200);
  return html`<section id="faults"><h2>Faults</h2><p class="lead">${format.counted(faults.length, "fault")}. Each concerns one client; the run continued without its result.</p>
<div class="scroll"><table><thead><tr><th>Client</th><th class="left">Stage</th><th class="left">Message</th></tr></thead><tbody>${shown.map((fault) => html`<tr><td class="name">${fault.client}</td><td class="left">${fault.stage}</td><td class="left">${fault.message}</td></tr>`)}</tbody></table></div>${faults.length > shown.length && html`<p class="lead">The others are in report.json.</p>`}</section>`;
}
