/** Who gains and who loses: each client against its best baseline, around a zero line. */
import * as format from "../../../shared/base/format.js";
import { type Axis, labelRow, linearAxis } from "../figures/axis.js";
import { GROUP_COLOURS, gainBar, groupKey } from "../figures/marks.js";
import { columns } from "../figures/plots.js";
import { html, type Markup } from "../markup.js";
import { type ClientGain, clientGains, METHOD_NAMES, type View } from "../views.js";
import { clientHeading, gainCell, MANY, rangeText, scrolling, unitOf } from "./values.js";

export function gainsSection(view: View): Markup | "" {
  const gains = clientGains(view);
  if (gains.length === 0) return "";
  const { metric } = view;
  const many = gains.length > MANY;
  const axis = linearAxis([0, ...gains.flatMap(({ gain }) => [gain.value, ...(gain.interval ?? [])])], {
    wanted: many ? 8 : 5,
    percent: metric === "accuracy",
  });
  const unit = metric === "accuracy" ? "percentage points of accuracy" : "nats per token of loss saved";
  const table = gainTable(view, gains, axis);
  const body = many
    ? html`${columns(
        gains.map(({ client, index, baseline, gain }) => ({
          value: gain.value,
          interval: gain.interval,
          group: view.groupOf[index] ?? 0,
          tip: `${client}\n${gainCell(view, gain.value)} over ${METHOD_NAMES[baseline]}${gain.interval ? `\n${rangeText(gain.interval, (x) => gainCell(view, x))}` : ""}`,
        })),
        axis,
        { y: `Gain, ${unit}`, label: `Gain of ${gains.length} clients over their best baseline, the largest first` },
      )}<details><summary>The same with names</summary>${scrolling("Gain of each client", table, true)}</details>`
    : table;
  return html`<section id="gains"><h2>Who gains and who loses</h2>
<p class="lead">Kindred against each client's best baseline, in ${unit}: right of zero, or above it, Kindred is better. ${verdict(gains)}</p>
${groupLegend(view)}${body}
<p class="note">Differences are paired: both methods answer the same resampled rows. The best baseline is chosen by the same test rows (${unitOf(metric)}), which favours the baseline.</p></section>`;
}

/** How many clients' intervals are on one side of zero. */
function verdict(gains: readonly ClientGain[]): string {
  const known = gains.flatMap(({ gain }) => (gain.interval === undefined ? [] : [gain.interval]));
  if (known.length === 0) return "";
  const above = known.filter(([low]) => low > 0).length;
  const below = known.filter(([, high]) => high < 0).length;
  const open = known.length - above - below;
  return `The 95\u00a0% interval is above zero for ${format.counted(above, "client")}, below for ${below}, and holds zero for ${open}.`;
}

function groupLegend(view: View): Markup | "" {
  const { groups } = view.report;
  if (groups.length < 2) return "";
  return html`<div class="keys"><span>Group</span>${groups.map((_, g) => groupKey(g))}${groups.length > GROUP_COLOURS && html`<span>(colours repeat after ${GROUP_COLOURS})</span>`}</div>`;
}

function gainTable(view: View, gains: readonly ClientGain[], axis: Axis): Markup {
  const rows = gains.map(({ client, index, baseline, gain }) => {
    const group = view.groupOf[index] ?? 0;
    const text = (value: number): string => gainCell(view, value);
    return html`<tr>${clientHeading(client, groupKey(group))}<td class="plot">${gainBar(axis, gain.value, gain.interval, group)}</td><td class="figures">${text(gain.value)}</td><td class="ranges wide">${rangeText(gain.interval, text)}</td><td class="against soft wide left">${METHOD_NAMES[baseline]}</td></tr>`;
  });
  return html`<table class="dots gains"><thead><tr><th class="who">Client</th><th class="plot"><span class="hidden">On a scale</span>${labelRow(axis)}</th><th class="figures">Gain</th><th class="ranges wide">95 % interval</th><th class="against left wide">over</th></tr></thead><tbody>${rows}</tbody></table>`;
}
