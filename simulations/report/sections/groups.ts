/** The report's section on groups: their members and mean scores, estimated and measured, and found against planted. */
import * as format from "../../../shared/base/format.js";
import { type Axis, labelRow, linearAxis } from "../figures/axis.js";
import { groupClass, groupKey, groupSwatch, key, stripRow } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import type { Forecasted } from "../types.js";
import {
  contingency,
  gainIn,
  groupEstimate,
  groupMean,
  groupName,
  intervalIn,
  METHOD_NAMES,
  metricOf,
  plantedName,
  type View,
} from "../views.js";
import { cellText, gainCell, rangeText, scrolling, unitOf } from "./values.js";

/** Names of larger groups are in the folded list. */
const MOST_NAMES = 24;

export function groupsSection(view: View): Markup {
  const { report, metric, methods } = view;
  const axis = linearAxis(
    report.groups.flatMap((_, g) => [
      groupEstimate(view, g) ?? Number.NaN,
      ...methods.flatMap((method) => {
        const score = groupMean(view, method, g);
        return [metricOf(score, metric) ?? Number.NaN, ...(intervalIn(score, metric) ?? [])];
      }),
    ]),
    { wanted: 4, percent: metric === "accuracy" },
  );
  const strays = strayClients(view);
  const cards = report.groups.map((group, g) => groupCard(view, axis, group, g, strays));
  return html`<section id="groups"><h2>Groups</h2>
<p class="lead">${report.grouping.reason && `${capital(report.grouping.reason)}. `}Mean ${unitOf(metric)}, of each group's clients on test rows; all groups on one scale.</p>
${forecastTable(view)}
<div class="cards">${cards}</div>${strays.size > 0 && html`<p class="note">Dashed names: planted in another group than most of these clients.</p>`}
${plantedBlock(view)}</section>`;
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1).replace(/\.$/, "");

function groupCard(view: View, axis: Axis, group: readonly string[], g: number, strays: ReadonlySet<string>): Markup {
  const { metric, methods } = view;
  const rows = methods.map((method) => {
    const score = groupMean(view, method, g);
    const value = metricOf(score, metric);
    const interval = intervalIn(score, metric);
    const dots = value === null ? [] : [{ method, value, interval }];
    return html`<tr><th scope="row" class="who">${key(method)} ${METHOD_NAMES[method]}</th><td class="plot">${stripRow(axis, dots, g)}</td><td class="figures">${cellText(metric, value)}</td><td class="ranges wide">${rangeText(interval, (x) => cellText(metric, x))}</td></tr>`;
  });
  const estimated = groupEstimate(view, g);
  if (estimated !== undefined)
    rows.push(
      html`<tr><th scope="row" class="who soft">${key("estimate")} Estimate</th><td class="plot">${stripRow(axis, [{ method: "estimate", value: estimated }], g)}</td><td class="figures soft">${cellText(metric, estimated)}</td><td class="ranges wide">before training</td></tr>`,
    );
  const gain = methods.includes("shared") ? gainIn(view, "shared", { group: g }) : undefined;
  const over =
    gain &&
    html`<p class="note">Over the shared adapter: <b>${gainCell(view, gain.value)}</b>${gain.interval && ` (${rangeText(gain.interval, (x) => gainCell(view, x))})`}</p>`;
  const chips = html`<ul class="chips">${group.map((name) => html`<li class="chip${strays.has(name) && " off"}" title="${name}">${name}</li>`)}</ul>`;
  const members =
    group.length <= MOST_NAMES
      ? chips
      : html`<details><summary>${format.counted(group.length, "client")}</summary>${chips}</details>`;
  return html`<div><div class="head ${groupClass(g)}"></div><h3>${groupSwatch(g)} ${groupName(g)} <span class="soft">${format.counted(group.length, "client")}</span></h3>
<table class="dots"><thead><tr><th class="who">Method</th><th class="plot"><span class="hidden">On a scale</span>${labelRow(axis)}</th><th class="figures">Mean</th><th class="ranges wide">95 % interval</th></tr></thead><tbody>${rows}</tbody></table>${over}${members}</div>`;
}

/** Clients of groups whose members were mostly planted in another one. */
function strayClients({ report, plantedOf, groupOf }: View): Set<string> {
  if (plantedOf === undefined) return new Set();
  const main = report.groups.map((_, g) => {
    const counts = new Map<number, number>();
    report.clients.forEach((_, i) => {
      const planted = plantedOf[i] ?? -1;
      if (groupOf[i] === g) counts.set(planted, (counts.get(planted) ?? 0) + 1);
    });
    return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0]?.[0];
  });
  return new Set(report.clients.filter((_, i) => main[groupOf[i] ?? -1] !== plantedOf[i]));
}

/** What was estimated before the groups were trained, beside what was measured. */
function forecastTable({ report: { forecasts } }: View): Markup | "" {
  if (forecasts === undefined) return "";
  const { loss, accuracy, macroF1 } = forecasts.mean;
  const share = (value: number): string => `${format.percent(value)} %`;
  const lines = [
    [accuracy === undefined ? "Loss, nats per token" : "Loss, nats per answer", loss, format.loss],
    ["Accuracy", accuracy, share],
    ["Macro-F1", macroF1, share],
  ] as const;
  const rows = lines.flatMap(([name, of, text]) =>
    of === undefined
      ? []
      : [
          html`<tr><th scope="row">${name}</th><td>${text(of.estimated)} ${errorText(of, text)}</td><td>${text(of.measured)} ${of.interval && html`<span class="range">${rangeText(of.interval, text)}</span>`}</td></tr>`,
        ],
  );
  return scrolling(
    "Estimated and measured",
    html`<table class="fit"><thead><tr><th>Mean over clients</th><th>Estimated before training</th><th>Measured at the end</th></tr></thead><tbody>${rows}</tbody></table>`,
  );
}

const errorText = ({ standardError }: Forecasted, text: (value: number) => string): Markup | "" =>
  standardError == null ? "" : html`<span class="range">± ${text(standardError)}</span>`;

/** Clients by planted group and by group found. */
function plantedBlock(view: View): Markup | "" {
  const { report } = view;
  const table = contingency(view);
  if (table === undefined || report.planted === undefined) return "";
  const largest = Math.max(1, ...table.flat());
  const head = report.groups.map((_, g) => html`<th scope="col">${groupKey(g)}</th>`);
  const rows = table.map(
    (row, p) =>
      html`<tr><th scope="row" class="name">${plantedName(report, p)}</th>${row.map((x) => html`<td class="${x === 0 ? "soft" : `heat${Math.ceil((4 * x) / largest)}`}">${x === 0 ? "·" : x}</td>`)}</tr>`,
  );
  return html`<h3>Groups found against groups planted</h3><p class="lead">Adjusted Rand index <b>${format.fixed(report.planted.adjustedRandIndex, 3)}</b>: 1 if equal, about 0 by chance. Numbers of clients:</p>${scrolling(
    "Clients by planted group and by group found",
    html`<table class="counts planted"><thead><tr><th class="name">Planted</th>${head}</tr></thead><tbody>${rows}</tbody></table>`,
  )}`;
}
