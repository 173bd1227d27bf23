/** The top of the report: when and on what, the result in sentences, every method on one scale. */
import * as format from "../../../shared/base/format.js";
import { labelRow, linearAxis } from "../figures/axis.js";
import { key, stripRow } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import type { MethodName, Report } from "../types.js";
import { clientGains, gainIn, intervalIn, METHOD_NAMES, metricOf, type View } from "../views.js";
import { cellText, differenceCell, gainText, metricText, range, rangeText, unitOf } from "./values.js";

const WHAT: Readonly<Record<MethodName, string>> = {
  base: "the base model, untuned",
  shared: "one adapter for all clients",
  local: "one adapter per client",
  full: "all weights, for all clients",
  kindred: "adapters by group, mixed",
};

/** @param startedAt milliseconds since 1970 */
export function runFacts(report: Report, startedAt: number | undefined): Markup {
  const sum = (of: Report["rows"]): number =>
    Object.values(of ?? {}).reduce((all, { train, validation, test }) => all + train + validation + test, 0);
  // The date of a machine's clock, in UTC: the same page everywhere.
  const date = startedAt === undefined ? undefined : new Date(startedAt).toISOString().slice(0, 16).replace("T", " ");
  const facts: (Markup | false | undefined)[] = [
    date !== undefined && html`<b>${date}</b> UTC`,
    report.wallSeconds !== undefined && html`took <b>${format.duration(report.wallSeconds)}</b>`,
    html`<b>${format.count(report.clients.length)}</b> ${report.clients.length === 1 ? "client" : "clients"}`,
    report.rows && html`<b>${format.count(sum(report.rows))}</b> rows`,
    report.tokens && html`<b>${format.count(sum(report.tokens))}</b> tokens`,
    html`base model <b>${shortName(report.model.name)}</b>`,
    html`seed <b>${report.seed}</b>`,
  ];
  return html`<p class="meta">${facts.map((fact) => fact && html`<span>${fact}</span>`)}</p>`;
}

/** A path's end: the whole is under Reproduction. */
const shortName = (model: string): string => model.split(/[\\/]/).slice(-2).join("/");

/** The result in one or two sentences, gains and losses alike. */
export function finding(view: View): Markup {
  const { report, metric } = view;
  const groups = report.groups.length;
  const found =
    groups === 1
      ? html`Kindred kept all ${format.counted(report.clients.length, "client")} in <b>one group</b>`
      : html`Kindred found <b>${groups} groups</b> among ${format.counted(report.clients.length, "client")}`;
  const planted = report.planted;
  const agreement =
    planted &&
    html` (${planted.groups.length} planted, adjusted Rand index ${format.fixed(planted.adjustedRandIndex, 2)})`;
  const mean = report.methods.kindred?.mean;
  if (!mean) return html`<p class="finding">${found}${agreement}.</p>`;
  const against = (other: MethodName, text: string): string | undefined => {
    const difference = gainIn(view, other, "all");
    if (difference === undefined) return undefined;
    if (difference.value === 0) return `equal to ${text}`;
    return `${gainText(view, difference)} ${difference.value > 0 ? "better" : "worse"} than ${text}`;
  };
  const parts = [
    against("shared", "one shared adapter"),
    against("local", "one adapter per client"),
    against("full", "training all weights"),
  ].filter((part) => part !== undefined);
  const name = metric === "accuracy" ? "mean test accuracy" : "mean test loss";
  const last = parts.length > 1 ? parts.splice(-2).join(" and ") : parts.pop();
  const lead = last !== undefined && html`: ${[...parts, last].join(", ")}`;
  const interval = intervalIn(mean, metric);
  const within = interval && html` (${rangeText(interval, (value) => cellText(metric, value))})`;
  return html`<p class="finding">${found}${agreement} and reaches a ${name} of <b>${metricText(view, metricOf(mean, metric))}</b>${within}${lead}.${spread(view)}</p>`;
}

/** The distribution of the gain over each client's best baseline, in a sentence. */
function spread(view: View): Markup | "" {
  const gains = clientGains(view);
  const least = gains.at(-1);
  if (least === undefined) return "";
  const count = (sign: number): number => gains.filter(({ gain }) => Math.sign(gain.value) === sign).length;
  const [better, equal, worse] = [count(1), count(0), count(-1)];
  const all = gains.length;
  if (better === all) return html` Every client does better than under its best baseline.`;
  if (equal === all) return html` Every client does as well as under its best baseline.`;
  const worst =
    worse > 0 && html` (by at most ${gainText(view, { value: least.gain.value })}, <bdi>${least.client}</bdi>)`;
  return html` Against its own best baseline, ${better} of ${format.counted(all, "client")} ${better === 1 ? "does" : "do"} better${equal > 0 && `, ${equal} the same`}, ${worse} worse${worst}.`;
}

/** What went wrong stands above everything else. */
export function faultNote({ report: { faults } }: View): Markup | "" {
  if (faults.length === 0) return "";
  const clients = [...new Set(faults.map(({ client }) => client))];
  const shown = clients.slice(0, 3).map((client, k) => html`${k > 0 && ", "}<bdi>${client}</bdi>`);
  const more = clients.length > 3 && ` and ${clients.length - 3} more`;
  return html`<p class="fault"><b>${format.counted(clients.length, "client")} failed in part of the run:</b> ${shown}${more}. <a href="#faults">What happened</a></p>`;
}

/** Every method's mean on one scale. */
export function methodsSection(view: View): Markup | "" {
  const { report, metric, methods } = view;
  if (methods.length === 0) return "";
  const axis = linearAxis(
    methods.flatMap((method) => {
      const mean = report.methods[method]?.mean;
      return [metricOf(mean, metric) ?? Number.NaN, ...(intervalIn(mean, metric) ?? [])];
    }),
    { wanted: 6, percent: metric === "accuracy" },
  );
  const withGains = methods.includes("kindred") && methods.length > 1;
  const withF1 = methods.some((method) => report.methods[method]?.mean.macroF1 !== undefined);
  const rows = methods.map((method) => {
    const mean = report.methods[method]!.mean;
    const value = metricOf(mean, metric);
    const dots = value === null ? [] : [{ method, value, interval: intervalIn(mean, metric) }];
    const beside =
      metric === "accuracy" &&
      html`<td class="figures wide wider">${format.loss(mean.loss)} ${range(mean.interval, format.loss)}</td>`;
    const f1 =
      withF1 &&
      html`<td class="figures wide wider">${format.percent(mean.macroF1)} ${range(mean.macroF1Interval, (x) => format.percent(x))}</td>`;
    const gain = method === "kindred" ? undefined : gainIn(view, method, "all");
    const over = withGains && html`<td class="figures wide">${gain ? differenceCell(view, gain) : ""}</td>`;
    return html`<tr><th scope="row" class="who${method === "kindred" && " strong"}">${key(method)} ${METHOD_NAMES[method]}<small>${WHAT[method]}</small></th><td class="plot">${stripRow(axis, dots)}</td><td class="figures${method === "kindred" && " strong"}">${cellText(metric, value)} ${range(intervalIn(mean, metric), (x) => cellText(metric, x))}</td>${over}${beside}${f1}</tr>`;
  });
  const name = metric === "accuracy" ? "Accuracy, %" : "Loss";
  return html`<section id="methods"><h2>Methods</h2>
<p class="lead">Mean ${unitOf(metric)}, over the clients' test rows, which are used for nothing else; ${metric === "accuracy" ? "right" : "left"} is better.${hasIntervals(report) && " Lines and ranges are 95\u00a0% intervals."}</p>
<table class="dots methods"><thead><tr><th class="who">Method</th><th class="plot"><span class="hidden">On a scale</span>${labelRow(axis)}</th><th class="figures">${name}</th>${withGains && html`<th class="figures wide">Kindred's gain</th>`}${metric === "accuracy" && html`<th class="figures wide wider">Loss, nats</th>`}${withF1 && html`<th class="figures wide wider">Macro-F1, %</th>`}</tr></thead><tbody>${rows}</tbody></table>
${intervalNote(report)}</section>`;
}

const hasIntervals = ({ methods }: Report): boolean =>
  Object.values(methods).some(({ mean }) => mean.interval !== undefined);

/** How intervals were made, or why there are none. */
function intervalNote(report: Report): Markup {
  if (hasIntervals(report))
    return html`<p class="note">Intervals come from 1,000 resamples of each client's test rows (bootstrap), with the clients fixed: they say how sure the numbers are for these clients, not for others. With few test rows they are too narrow: with ten they hold the true loss in 88 of 100 cases.</p>`;
  return html`<p class="note">There are no intervals: a client has a single test row, or test rows were not kept.</p>`;
}
