/** The report's section on clients: a table with a row per client, every method's scores with intervals. */
import * as format from "../../../shared/base/format.js";
import { groupKey } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import { at, type Report, type SplitSizes } from "../types.js";
import { gainIn, METHOD_NAMES, metricOf, plantedName, scoreOf, type View } from "../views.js";
import { differenceCell, folded, MANY, range, scoreCell, scrolling, unitOf } from "./values.js";

export function clientsSection(view: View): Markup {
  const { report, metric, methods } = view;
  const many = report.clients.length > MANY;
  const filter =
    many &&
    html`<div class="tools"><input type="search" id="filter" placeholder="Filter clients" aria-label="Filter clients by name"></div>`;
  const body = view.order.map((i) => clientRow(view, i));
  const table = html`<table class="clients"><thead>${headRow(view)}</thead><tbody>${body}</tbody><tfoot>${meanRow(view)}</tfoot></table>`;
  const lossless = metric === "loss" && " These rows have no choices, so there is no accuracy to show.";
  const text = html`<p class="lead">Test ${unitOf(metric)}, with 95 % intervals; gains are those of Kindred, paired. Click a heading to sort.${lossless}</p>`;
  return folded(
    "clients",
    "Every client",
    `${methods.length === 1 ? "one method" : `${methods.length} methods`}, gains, rows and tokens`,
    html`${text}${filter}${scrolling("Scores of every client", table, true)}`,
  );
}

/** Methods other than Kindred's own, where there is a gain to show. */
const comparedWith = ({ methods }: View) =>
  methods.includes("kindred") ? methods.filter((method) => method !== "kindred" && method !== "base") : [];

const macroF1Of = ({ report }: View, client: string) => scoreOf(report, "kindred", client)?.macroF1;

const hasF1 = (view: View): boolean => view.report.clients.some((client) => macroF1Of(view, client) !== undefined);

function headRow(view: View): Markup {
  const { methods, metric, plantedOf, report } = view;
  const head = (text: Markup | string, first = "descending", { sorted = "", kind = "" } = {}) =>
    html`<th scope="col"${kind !== "" && html` class="${kind}"`} data-first="${first}"${sorted !== "" && html` aria-sort="${sorted}"`}><button>${text}</button></th>`;
  const best = metric === "accuracy" ? "descending" : "ascending";
  const sizes = [
    report.rows && "Rows: train",
    report.rows && "validation",
    report.rows && "test",
    report.tokens && "Tokens",
  ];
  return html`<tr>${head("Client", "ascending")}${head("Group", "ascending", { sorted: "ascending" })}${plantedOf && head("Planted", "ascending", { kind: "left" })}${methods.map((method) => head(METHOD_NAMES[method], best))}${comparedWith(view).map((method) => head(`Gain over ${METHOD_NAMES[method]}`))}${hasF1(view) && head("Kindred's macro-F1")}${metric === "accuracy" && methods.includes("kindred") && head("Kindred's loss", "ascending")}${sizes.map((text) => text && head(text))}</tr>`;
}

function clientRow(view: View, i: number): Markup {
  const { report, metric, methods } = view;
  const client = report.clients[i] ?? "";
  const group = view.groupOf[i] ?? 0;
  const planted = view.plantedOf?.[i];
  const scores = methods.map((method) => {
    const score = scoreOf(report, method, client);
    return html`<td data-sort="${metricOf(score, metric) ?? ""}"${method === "kindred" && html` class="strong"`}>${scoreCell(metric, score)}</td>`;
  });
  const gains = comparedWith(view).map((method) => {
    const difference = gainIn(view, method, { client });
    return html`<td data-sort="${difference?.value ?? ""}">${differenceCell(view, difference)}</td>`;
  });
  const kindred = scoreOf(report, "kindred", client);
  const f1 = html`<td data-sort="${kindred?.macroF1 ?? ""}">${format.percent(kindred?.macroF1)} ${range(kindred?.macroF1Interval, (x) => format.percent(x))}</td>`;
  const loss = html`<td data-sort="${kindred?.loss ?? ""}" class="soft">${format.loss(kindred?.loss)} ${range(kindred?.interval, format.loss)}</td>`;
  return html`<tr><td class="name" title="${client}">${client}</td><td data-sort="${group}">${groupKey(group)}</td>${planted !== undefined && html`<td class="name left">${plantedName(report, planted)}</td>`}${scores}${gains}${hasF1(view) && f1}${metric === "accuracy" && kindred !== undefined && loss}${sizeCells(report, client)}</tr>`;
}

function sizeCells({ rows, tokens }: Report, client: string): Markup {
  const cell = (value: number | undefined) =>
    html`<td class="soft" data-sort="${value ?? ""}">${format.count(value)}</td>`;
  const own = at(rows, client);
  const all = (of: SplitSizes | undefined) => of && of.train + of.validation + of.test;
  return html`${rows && html`${cell(own?.train)}${cell(own?.validation)}${cell(own?.test)}`}${tokens && cell(all(at(tokens, client)))}`;
}

function meanRow(view: View): Markup {
  const { report, metric, methods } = view;
  const kindred = report.methods.kindred?.mean;
  const sizes = (report.rows ? 3 : 0) + (report.tokens ? 1 : 0);
  return html`<tr class="total"><td>Mean</td><td></td>${view.plantedOf && html`<td></td>`}${methods.map(
    (method) => html`<td>${scoreCell(metric, report.methods[method]?.mean)}</td>`,
  )}${comparedWith(view).map((method) => html`<td>${differenceCell(view, gainIn(view, method, "all"))}</td>`)}${hasF1(view) && html`<td>${format.percent(kindred?.macroF1)} ${range(kindred?.macroF1Interval, (x) => format.percent(x))}</td>`}${metric === "accuracy" && kindred && html`<td>${format.loss(kindred.loss)} ${range(kindred.interval, format.loss)}</td>`}${Array.from({ length: sizes }, () => html`<td></td>`)}</tr>`;
}
