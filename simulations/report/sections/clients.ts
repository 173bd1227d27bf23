/** The report's section on clients: scatter plots of methods, and a table with a row per client. */
import * as format from "../../../shared/base/format.js";
import { key, type ScatterDot, type Strip, scatter, stripAxis, stripOf, stripRow } from "../figures.js";
import { html, type Markup } from "../markup.js";
import { at, type MethodName } from "../types.js";
import { compare, gain, METHOD_NAMES, type Metric, metricOf, plantedName, scoreOf, type View } from "../views.js";
import { gainCell, MANY, metricText, mood } from "./values.js";

/** The table's content by view. */
interface Columns {
  readonly strip: Strip;
  /** Whether there is a gain over the shared adapter. */
  readonly gains: boolean;
  /** Whether numbers of training rows differ: equal numbers get no column. */
  readonly sizes: boolean;
  /** Methods whose loss is shown beside the accuracy. */
  readonly losses: readonly MethodName[];
}

export function clientsSection(view: View): Markup {
  const { report, metric, methods } = view;
  const many = report.clients.length > MANY;
  const values = report.clients.flatMap((client) =>
    methods.map((method) => metricOf(scoreOf(report, method, client), metric) ?? Number.NaN),
  );
  const columns: Columns = {
    strip: stripOf(values, 250),
    gains: methods.includes("shared") && methods.includes("kindred"),
    sizes: new Set(report.clients.map((client) => at(report.rows, client)?.train)).size > 1,
    losses: metric === "accuracy" ? methods.filter((method) => method === "shared" || method === "kindred") : [],
  };
  return html`<section id="clients"><h2>Every client</h2>
<p class="lead">On test rows, which are used for nothing else.${metric === "loss" && " These rows have no choices, so there is no accuracy to show."}</p>
${methods.includes("kindred") && scatterPlots(view)}
<div class="tools"><div class="keys">${methods.map((method) => html`<span>${key(method)} ${METHOD_NAMES[method]}</span>`)}<span>${metric === "accuracy" ? "accuracy in %, right is better" : "loss in nats per token, left is better"}</span></div>${many && html`<input type="search" id="filter" placeholder="Filter clients" aria-label="Filter clients by name">`}</div>
<div class="scroll ${many && "tall"}"><table class="clients"><thead>${headRow(view, columns)}</thead><tbody>${view.order.map((i) => clientRow(view, columns, i))}</tbody><tfoot>${meanRow(view, columns)}</tfoot></table></div></section>`;
}

/** Kindred against up to two other methods. */
function scatterPlots(view: View): Markup {
  const { report, metric, methods } = view;
  const others = (["shared", "local", "full", "base"] as const).filter((other) => methods.includes(other)).slice(0, 2);
  const dotsAgainst = (other: MethodName): ScatterDot[] =>
    report.clients.flatMap((client) => {
      const x = metricOf(scoreOf(report, other, client), metric);
      const y = metricOf(scoreOf(report, "kindred", client), metric);
      if (x === null || y === null) return [];
      return [
        { x, y, tip: `${client}\nKindred ${metricText(view, y)}\n${METHOD_NAMES[other]} ${metricText(view, x)}` },
      ];
    });
  const unit = metric === "accuracy" ? "test accuracy, %" : "test loss, nats per token";
  return html`<div class="row">${others.map(
    (other) =>
      html`<figure>${scatter(dotsAgainst(other), {
        x: `${METHOD_NAMES[other]}: ${unit}`,
        y: `Kindred: ${unit}`,
        betterAbove: metric === "accuracy",
        label: `Kindred against ${METHOD_NAMES[other]}, one dot per client`,
        percent: metric === "accuracy",
      })}</figure>`,
  )}</div><figcaption class="under">One dot per client; Kindred is better in the shaded half.</figcaption>`;
}

function headRow({ methods, metric, plantedOf }: View, { strip, gains, sizes, losses }: Columns): Markup {
  const head = (text: Markup | string, first = "descending", sorted = "") =>
    html`<th data-first="${first}"${sorted !== "" && html` aria-sort="${sorted}"`}><button>${text}</button></th>`;
  const best = metric === "accuracy" ? "descending" : "ascending";
  return html`<tr>${head("Client", "ascending")}${head("Group", "ascending", "ascending")}${plantedOf && html`<th class="left" data-first="ascending"><button>Planted</button></th>`}${sizes && head("Train rows")}<th class="left">${stripAxis(strip, metric === "accuracy")}</th>${methods.map((method) => head(METHOD_NAMES[method], best))}${gains && head("Gain")}${losses.map((method) => head(`${METHOD_NAMES[method]} loss`, "ascending"))}</tr>`;
}

function clientRow(view: View, { strip, gains, sizes, losses }: Columns, i: number): Markup {
  const { report, metric, methods } = view;
  const client = report.clients[i] ?? "";
  const group = (view.groupOf[i] ?? 0) + 1;
  const valueBy = (method: MethodName) => metricOf(scoreOf(report, method, client), metric);
  const dots = methods.flatMap((method) => {
    const value = valueBy(method);
    return value === null ? [] : [{ mark: method, value }];
  });
  const [from, to] = [valueBy("shared"), valueBy("kindred")];
  const difference = gain(scoreOf(report, "kindred", client), scoreOf(report, "shared", client), metric);
  const planted = view.plantedOf?.[i];
  const train = at(report.rows, client)?.train;
  const arrow = from !== null && to !== null ? { from, to, good: (difference ?? 0) >= 0 } : undefined;
  return html`<tr><td class="name" title="${client}">${client}</td><td data-sort="${group}">${group}</td>${planted !== undefined && html`<td class="name left">${plantedName(report, planted)}</td>`}${sizes && html`<td class="soft" data-sort="${train ?? ""}">${format.count(train)}</td>`}<td class="left">${stripRow(strip, dots, arrow)}</td>${methods.map(
    (method) => {
      const value = valueBy(method);
      return html`<td data-sort="${value ?? ""}"${method === "kindred" && html` class="strong"`}>${cellText(metric, value)}</td>`;
    },
  )}${gains && html`<td data-sort="${difference ?? ""}" class="${mood(difference)}">${gainCell(view, difference)}</td>`}${losses.map(
    (method) => {
      const value = scoreOf(report, method, client)?.loss;
      return html`<td data-sort="${value ?? ""}" class="soft">${format.loss(value)}</td>`;
    },
  )}</tr>`;
}

function meanRow(view: View, { gains, sizes, losses }: Columns): Markup {
  const { report, metric, methods } = view;
  const meanGain = gains ? (compare(view, "kindred", "shared")?.mean ?? null) : null;
  return html`<tr class="total"><td>Mean</td><td></td>${view.plantedOf && html`<td></td>`}${sizes && html`<td></td>`}<td></td>${methods.map(
    (method) => html`<td>${cellText(metric, metricOf(report.methods[method]?.mean, metric))}</td>`,
  )}${gains && html`<td class="${mood(meanGain)}">${gainCell(view, meanGain)}</td>`}${losses.map(
    (method) => html`<td>${format.loss(report.methods[method]?.mean.loss)}</td>`,
  )}</tr>`;
}

const cellText = (metric: Metric, value: number | null | undefined): string =>
  metric === "accuracy" ? format.percent(value) : format.loss(value);
