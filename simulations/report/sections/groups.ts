/** The report's section on groups: found against planted, and their mean scores. */
import * as format from "../../../shared/base/format.js";
import { key } from "../figures.js";
import { html, type Markup } from "../markup.js";
import { contingency, gain, groupMean, groupName, METHOD_NAMES, metricOf, plantedName, type View } from "../views.js";
import { gainCell, mood } from "./values.js";

export function groupsSection(view: View): Markup {
  const { report, metric, plantedOf } = view;
  const table = contingency(view);
  const confusion = table && confusionTable(view, table);
  const methods = view.methods;
  const index = new Map(report.clients.map((name, i) => [name, i]));
  // A client is outlined where most of its group was planted in another group.
  const main = report.groups.map((_, g) => {
    const column = table?.map((row) => row[g] ?? 0) ?? [];
    return column.indexOf(Math.max(...column));
  });
  const chips = (g: number) =>
    (report.groups[g] ?? []).map((name) => {
      const planted = plantedOf?.[index.get(name) ?? -1];
      const off = planted !== undefined && planted !== main[g];
      return html`<span class="${off ? "chip off" : "chip"}"${planted !== undefined && html` data-tip="${name}\n${plantedName(report, planted)}"`}>${name}</span>`;
    });
  const list = html`<dl class="groups">${report.groups.map((group, g) => html`<dt>${groupName(g)}<small>${format.counted(group.length, "client")}</small></dt><dd class="chips">${chips(g)}</dd>`)}</dl>`;
  const summary = html`<div class="scroll"><table><thead><tr><th>Group</th><th>Clients</th>${methods.map((method) => html`<th>${key(method)} ${METHOD_NAMES[method]}</th>`)}${methods.includes("shared") && methods.includes("kindred") && html`<th>Gain over shared</th>`}</tr></thead><tbody>${report.groups.map(
    (group, g) => {
      const difference = gain(groupMean(view, "kindred", g), groupMean(view, "shared", g), metric);
      return html`<tr><td>${groupName(g)}</td><td>${group.length}</td>${methods.map((method) => {
        const value = metricOf(groupMean(view, method, g), metric);
        return html`<td class="${method === "kindred" && "strong"}">${metric === "accuracy" ? format.percent(value) : format.loss(value)}</td>`;
      })}${methods.includes("shared") && methods.includes("kindred") && html`<td class="${mood(difference)}">${gainCell(view, difference)}</td>`}</tr>`;
    },
  )}</tbody></table></div>`;
  const unit =
    metric === "accuracy" ? "Mean test accuracy by group, in %." : "Mean test loss by group, in nats per token.";
  const score =
    report.planted &&
    html`<div class="score">${format.fixed(report.planted.adjustedRandIndex, 3)}<small>adjusted Rand index:<br>1 if equal, about 0 by chance</small></div>`;
  const strays = report.clients.some((_, i) => plantedOf && plantedOf[i] !== main[view.groupOf[i] ?? -1]);
  return html`<section id="groups"><h2>${report.planted ? "Groups found against groups planted" : "Groups found"}</h2>
${confusion && html`<div class="row block-row">${score}${confusion}</div>`}
<p class="lead">${unit}</p>${summary}
${
  report.clients.length <= 60
    ? html`<div class="block-row">${list}${strays && html`<figcaption>Outlined: planted in another group than most of these clients.</figcaption>`}</div>`
    : html`<details><summary>Clients by group</summary><br>${list}</details>`
}</section>`;
}

function confusionTable(view: View, table: readonly (readonly number[])[]): Markup {
  const largest = Math.max(1, ...table.flat());
  const dense = view.report.groups.length > 12;
  return html`<div class="scroll"><table class="confusion${dense && " dense"}"><thead><tr><th class="left">Planted \\ found</th>${view.report.groups.map((_, g) => html`<th>${view.report.groups.length > 8 ? g + 1 : groupName(g)}</th>`)}</tr></thead><tbody>${table.map(
    (row, p) =>
      html`<tr><td class="name left">${plantedName(view.report, p)}</td>${row.map((x) => html`<td class="${x === 0 ? "soft" : `cell heat${Math.ceil((4 * x) / largest)}`}">${x === 0 ? "·" : x}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}
