/** The report's section on time: one bar per stage of the run. */
import * as format from "../../../shared/base/format.js";
import { bar } from "../figures.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../types.js";

/** Shorter stages are not shown: their bars would have no length. */
const SHORTEST_SECONDS = 0.05;

export function stagesSection({ stages = [] }: Pick<Report, "stages">): Markup | "" {
  const shown = stages.filter(({ wallSeconds }) => wallSeconds >= SHORTEST_SECONDS);
  if (shown.length === 0) return "";
  const longest = Math.max(...shown.map(({ wallSeconds }) => wallSeconds));
  return html`<section id="stages"><h2>Time per stage</h2>
<p class="lead">In the order of their starts. Some stages run in parallel. The time of a resumed run includes its pause.</p>
<div class="scroll"><table><thead><tr><th>Stage</th><th class="left" colspan="2">Time</th></tr></thead><tbody>${shown.map(
    ({ stage, wallSeconds }) =>
      html`<tr><td>${stage}</td><td>${format.duration(wallSeconds)}</td><td class="left">${bar(wallSeconds / longest)}</td></tr>`,
  )}</tbody></table></div></section>`;
}
