/** The report's section on the choice of the groups: the candidate partitions and their estimated values. */
import * as format from "../../../shared/base/format.js";
import { trialPlot } from "../figures/plots.js";
import { html, type Markup } from "../markup.js";
import type { GroupingCandidate } from "../types.js";
import type { View } from "../views.js";
import { folded, scrolling } from "./values.js";

/** More than these are shown on request. */
const MOST = 10;

export function choiceSection(view: View): Markup | "" {
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
        tip: `${candidate.label}\n${format.counted(candidate.groups, "group")}: ${format.fixed(candidate.judged, 4)}${candidate.chosen ? "\nchosen" : ""}`,
      })),
      {
        x: "groups",
        y: "Estimated value",
        logarithmic: false,
        joined: false,
        label: "Value of partitions by number of groups",
      },
    );
  const table = scrolling("Candidate partitions", candidateTable(candidates));
  const shown =
    candidates.length > MOST
      ? html`<details><summary>All ${candidates.length} candidate partitions</summary>${table}</details>`
      : table;
  const value = measure ? `Value: ${measure}; higher is better.` : "Value by the estimator; higher is better.";
  return folded(
    "choice",
    "Choice of the groups",
    `${format.counted(candidates.length, "candidate partition")}, by the estimate`,
    html`<p>${reason.replace(/\.?$/, ".")}</p><p class="lead">${value}</p><div class="row">${plot}<div>${shown}</div></div>`,
  );
}

function candidateTable(candidates: readonly GroupingCandidate[]): Markup {
  const rows = candidates.map(({ label, groups, judged, gainOverOne, standardError, chosen }) => {
    const gain =
      gainOverOne == null || groups === 1
        ? ""
        : html`${format.signed(gainOverOne, 4)}${standardError != null && html` <span class="range">± ${format.fixed(standardError, 4)}</span>`}`;
    return html`<tr><th scope="row">${label}</th><td>${groups}</td><td>${format.fixed(judged, 4)}</td><td>${gain}</td><td class="left">${chosen && html`<b>chosen</b>`}</td></tr>`;
  });
  return html`<table><thead><tr><th>Partition</th><th>Groups</th><th>Value</th><th>Over one group</th><th class="left">Choice</th></tr></thead><tbody>${rows}</tbody></table>`;
}
