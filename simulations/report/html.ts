/**
 * The report as one self-contained HTML page: style, script, images and data are in it, and its content security policy forbids every
 * request. The same report gives the same page, byte for byte. All text is escaped (markup.ts). It knows the report's type and nothing
 * of the run.
 */
import { pageOf } from "./document.js";
import { html, type Markup } from "./markup.js";
import { affinitySection } from "./sections/affinity.js";
import { answersSection, examplesSection } from "./sections/answers.js";
import { boostingSection } from "./sections/boosting.js";
import { choiceSection } from "./sections/choice.js";
import { clientsSection } from "./sections/clients.js";
import { costSection } from "./sections/cost.js";
import { curvesSection } from "./sections/curves.js";
import { faultsSection } from "./sections/faults.js";
import { forecastsSection } from "./sections/forecasts.js";
import { gainsSection } from "./sections/gains.js";
import { groupsSection } from "./sections/groups.js";
import { sweepSection } from "./sections/learning-rate.js";
import { reproduceSection } from "./sections/reproduce.js";
import { stagesSection } from "./sections/stages.js";
import { faultNote, finding, methodsSection, runFacts } from "./sections/summary.js";
import type { MatrixData } from "./sections/values.js";
import { weightsSection } from "./sections/weights.js";
import type { Report } from "./types.js";
import { viewOf } from "./views.js";

/**
 * The whole page.
 * @param startedAt when the run was started, milliseconds since 1970; not in the report, which is the same for every run of a seed
 * @returns a document of HTML, the same for the same report and time
 */
export function renderReport(report: Report, startedAt?: number): string {
  const view = viewOf(report);
  const data: Record<string, MatrixData> = {};
  const sections: readonly (readonly [id: string, name: string | undefined, body: Markup | ""])[] = [
    ["methods", "Methods", methodsSection(view)],
    ["gains", "Who gains", gainsSection(view)],
    ["groups", "Groups", groupsSection(view)],
    ["affinity", "Who helps whom", affinitySection(view, data)],
    ["curves", "Loss", curvesSection(view)],
    ["cost", "Cost", costSection(view)],
    ["faults", "Faults", faultsSection(view)],
    ["clients", "Every client", clientsSection(view)],
    ["estimate", undefined, forecastsSection(view)],
    ["choice", undefined, choiceSection(view)],
    ["boosting", undefined, boostingSection(view)],
    ["weights", undefined, weightsSection(view, data)],
    ["answers", undefined, answersSection(view)],
    ["examples", undefined, examplesSection(view)],
    ["sweep", undefined, sweepSection(view)],
    ["stages", undefined, stagesSection(report)],
    ["reproduce", "Reproduction", reproduceSection(view)],
  ];
  const top = html`<h1>${report.title}</h1>
${runFacts(report, startedAt)}
${finding(view)}
${faultNote(view)}`;
  return pageOf({
    title: report.title,
    top,
    sections: sections.flatMap(([id, name, body]) => (body === "" ? [] : [{ id, name, body }])),
    footer: "The same numbers are in report.json, clients.csv and affinity.csv beside this page.",
    data,
  });
}
