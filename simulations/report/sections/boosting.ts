/** The report's section on boosting: what each step changed for each client of its group. */
import * as format from "../../../shared/base/format.js";
import { labelRow, linearAxis } from "../figures/axis.js";
import { gainBar, groupSwatch } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import type { BoostingEffect } from "../types.js";
import type { View } from "../views.js";
import { clientHeading, folded, scrolling } from "./values.js";

export function boostingSection({ report: { boosting = [] } }: View): Markup | "" {
  if (boosting.length === 0) return "";
  // One scale for all steps.
  const axis = linearAxis([
    0,
    ...boosting.flatMap(({ clients }) => Object.values(clients).map(({ before, after }) => before - after)),
  ]);
  const kept = boosting.filter(({ step }) => step > 0).length;
  return folded(
    "boosting",
    "What boosting changed",
    `${format.counted(boosting.length, "step")}, ${kept === boosting.length ? "all kept" : `${kept} kept`}`,
    html`<p class="lead">Each step adds an adapter to the group that fits worst, as far as it lowers the group's validation loss. Bars show the loss that it saved, in nats per token on validation rows, by which the step's length was chosen: they flatter it. Weights were fitted afterwards.</p>${boosting.map((effect) => stepBlock(effect, axis))}`,
  );
}

function stepBlock({ name, group, step, clients }: BoostingEffect, axis: ReturnType<typeof linearAxis>): Markup {
  const entries = Object.entries(clients).sort(([, a], [, b]) => b.before - b.after - (a.before - a.after));
  const rows = entries.map(
    ([client, { before, after }]) =>
      html`<tr>${clientHeading(client)}<td class="plot">${gainBar(axis, before - after, undefined, group)}</td><td class="ranges">${format.loss(before)} → ${format.loss(after)}</td></tr>`,
  );
  const length = step > 0 ? `step length ${format.plain(step)}` : "dropped: no step lowered the loss";
  const table = html`<table class="dots"><thead><tr><th class="who">Client</th><th class="plot"><span class="hidden">On a scale</span>${labelRow(axis)}</th><th class="ranges">Loss</th></tr></thead><tbody>${rows}</tbody></table>`;
  return html`<h3>${groupSwatch(group)} ${name} <span class="soft">${length}</span></h3>${step > 0 && scrolling(`Losses before and after ${name}`, table, entries.length > 24)}`;
}
