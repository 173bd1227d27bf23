/**
 * The report as one self-contained HTML page: style, script, images and data are in it, and its content security policy forbids every
 * request. The same report gives the same page, byte for byte. All text is escaped (markup.ts). It knows the report's type and nothing
 * of the run.
 */
import * as format from "../../shared/base/format.js";
import { pageOf } from "./document.js";
import { html, type Markup } from "./markup.js";
import { affinitySection } from "./sections/affinity.js";
import { clientsSection } from "./sections/clients.js";
import { costSection } from "./sections/cost.js";
import { curvesSection } from "./sections/curves.js";
import { faultsSection } from "./sections/faults.js";
import { groupsSection } from "./sections/groups.js";
import { sweepSection } from "./sections/learning-rate.js";
import { reproduceSection } from "./sections/reproduce.js";
import { stagesSection } from "./sections/stages.js";
import { finding, tiles } from "./sections/summary.js";
import type { MatrixData } from "./sections/values.js";
import { weightsSection } from "./sections/weights.js";
import type { Report } from "./types.js";
import { viewOf } from "./views.js";

/** The whole page. @returns a document of HTML, the same for the same report */
export function renderReport(report: Report): string {
  const view = viewOf(report);
  const data: Record<string, MatrixData> = {};
  const sections: readonly (readonly [string, string, Markup | ""])[] = [
    ["affinity", "Affinity", affinitySection(view, data)],
    ["groups", "Groups", groupsSection(view)],
    ["clients", "Clients", clientsSection(view)],
    ["curves", "Curves", curvesSection(view)],
    ["weights", "Weights", weightsSection(view, data)],
    ["cost", "Cost", costSection(view)],
    ["sweep", "Learning rate", sweepSection(view)],
    ["stages", "Stages", stagesSection(view.report)],
    ["faults", "Faults", faultsSection(view)],
    ["reproduce", "Reproduce", reproduceSection(view)],
  ];
  const top = html`<h1>${report.title}</h1>
<p class="meta"><span><b>${format.count(report.clients.length)}</b> clients</span><span><b>${report.groups.length}</b> ${report.groups.length === 1 ? "group" : "groups"}</span><span><b>${report.members.length}</b> ${report.members.length === 1 ? "model" : "models"} in the ensemble</span><span>base model <b>${report.model.name}</b></span><span>seed <b>${report.seed}</b></span></p>
${finding(view)}
${tiles(view)}`;
  return pageOf({
    title: report.title,
    top,
    sections: sections.flatMap(([id, name, body]) => (body === "" ? [] : [{ id, name, body }])),
    footer: "The same numbers are in report.json beside this page.",
    data,
  });
}
