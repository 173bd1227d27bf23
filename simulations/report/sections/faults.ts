/** The report's section on faults of clients. */
import * as format from "../../../shared/base/format.js";
import { html, type Markup } from "../markup.js";
import type { View } from "../views.js";
import { folded, scrolling } from "./values.js";

const MOST = 200;

export function faultsSection({ report: { faults } }: View): Markup | "" {
  if (faults.length === 0) return "";
  const shown = faults.slice(0, MOST);
  const rows = shown.map(
    ({ client, stage, message }) =>
      html`<tr><td class="name" title="${client}">${client}</td><td class="left">${stage}</td><td class="wrap left">${message}</td></tr>`,
  );
  const table = html`<table><thead><tr><th>Client</th><th class="left">Stage</th><th class="left">Message</th></tr></thead><tbody>${rows}</tbody></table>`;
  return folded(
    "faults",
    "Faults",
    `${format.counted(faults.length, "fault")} of clients`,
    html`<p class="lead">Each concerns one client; the run continued without its result.</p>${scrolling("Faults of clients", table)}${faults.length > shown.length && html`<p class="lead">The others are in report.json.</p>`}`,
  );
}
