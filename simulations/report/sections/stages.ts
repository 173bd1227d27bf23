/** The report's section on time: one bar per stage of the run. */
import * as format from "../../../shared/base/format.js";
import { bar } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../types.js";
import { folded } from "./values.js";

/** Shorter stages are not shown: their bars would have no length. */
const SHORTEST_SECONDS = 0.05;

export function stagesSection({ stages = [], wallSeconds }: Pick<Report, "stages" | "wallSeconds">): Markup | "" {
  const shown = stages.filter(({ wallSeconds: of }) => of >= SHORTEST_SECONDS);
  if (shown.length === 0) return "";
  const longest = Math.max(...shown.map(({ wallSeconds: of }) => of));
  const rows = shown.map(
    ({ stage, wallSeconds: of }) => html`<dt>${stage}</dt><dd>${bar(of / longest)}</dd><dd>${format.duration(of)}</dd>`,
  );
  return folded(
    "stages",
    "Time of each stage",
    wallSeconds === undefined ? `${shown.length} stages` : `${format.duration(wallSeconds)} in all`,
    html`<p class="lead">In the order of their starts. Some stages run in parallel. The time of a resumed run includes its pause.</p><dl class="costs long">${rows}</dl>`,
  );
}
