/**
 * The report as one HTML page that needs nothing else: style, script, images and data are in it, and its content security
 * policy forbids every request. The same report gives the same page, byte for byte. Everything that is not a number is
 * escaped (markup.ts). It knows the report's type and not how a run is made.
 */
import * as format from "../../shared/base/format.js";
import { DIVERGING, SEQUENTIAL } from "./colours.js";
import { pageOf } from "./document.js";
import {
  bar,
  curvePanel,
  key,
  type Line,
  legend,
  matrixFigure,
  type ScatterDot,
  scatter,
  stripAxis,
  stripOf,
  stripRow,
  trialPlot,
} from "./figures.js";
import { html, type Markup } from "./markup.js";
import { stagesSection } from "./stages-section.js";
import { at, type Curve, type Fact, type Method, type Report } from "./types.js";
import {
  compare,
  contingency,
  contrast,
  gain,
  groupMean,
  groupName,
  METHOD_NAMES,
  metricOf,
  plantedName,
  quantile,
  scoreOf,
  spreadOf,
  ticks,
  type View,
  viewOf,
} from "./views.js";

/** Standard deviations at which the affinity's colours end. */
const STANDARD_END = 2.5;

/** Above so many clients their names are left to the pointer, and tables scroll inside the page. */
const MANY = 40;

const WHAT: Readonly<Record<Method, string>> = {
  base: "The base model, untuned",
  shared: "One adapter for all clients",
  local: "One adapter per client",
  full: "All weights, by all clients together",
  kindred: "Adapters by group, boosted and mixed",
};

/** Layers of a matrix for the pointer: float32 is exact enough for the four digits shown. */
interface MatrixData {
  rows: readonly string[];
  columns: readonly string[];
  joint: string;
  layers: { label: string; values: string }[];
}

function base64(values: Iterable<number>): string {
  const floats = Float32Array.from(values);
  const bytes = Buffer.alloc(floats.length * 4);
  floats.forEach((x, i) => {
    bytes.writeFloatLE(x, i * 4);
  });
  return bytes.toString("base64");
}

function metricText(view: View, value: number | null | undefined): string {
  return view.metric === "accuracy" ? `${format.percent(value)} %` : format.loss(value);
}

/** "23.1 points", "0.214 nats". */
function gainText(view: View, value: number): string {
  const size = Math.abs(value);
  return view.metric === "accuracy" ? `${format.percent(size)} points` : `${format.loss(size)} nats`;
}

function gainCell(view: View, value: number | null): string {
  if (value === null) return format.fixed(null, 0);
  return view.metric === "accuracy" ? format.signed(value * 100, 1) : format.signed(value, 3);
}

function mood(value: number | null): string {
  return value === null || value === 0 ? "" : value > 0 ? "good" : "bad";
}

/** The result in one or two sentences, gains and losses alike. */
function finding(view: View): Markup {
  const { report } = view;
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
  const against = (other: Method, text: string): string | undefined => {
    const difference = compare(view, "kindred", other)?.mean;
    if (difference === null || difference === undefined) return undefined;
    if (difference === 0) return `equal to ${text}`;
    return `${gainText(view, difference)} ${difference > 0 ? "better" : "worse"} than ${text}`;
  };
  const parts = [
    against("shared", "one shared adapter"),
    against("local", "one adapter per client"),
    against("full", "training all weights"),
  ].filter((part) => part !== undefined);
  const name = view.metric === "accuracy" ? "mean test accuracy" : "mean test loss";
  const value = view.metric === "accuracy" ? metricText(view, mean.accuracy) : format.loss(mean.loss);
  const last = parts.length > 1 ? parts.splice(-2).join(" and ") : parts.pop();
  const lead = last !== undefined && html`: ${[...parts, last].join(", ")}`;
  return html`<p class="finding">${found}${agreement} and reaches a ${name} of <b>${value}</b>${lead}.${spread(view)}</p>`;
}

/** How the gain over the shared adapter is spread over the clients. */
function spread(view: View): Markup | "" {
  const shared = compare(view, "kindred", "shared");
  if (!shared?.least) return "";
  const clients = shared.better + shared.equal + shared.worse;
  if (shared.better === clients) return html` Every client does better than with the shared adapter.`;
  if (shared.equal === clients) return html` Every client does as well as with the shared adapter.`;
  const equal = shared.equal > 0 && `, ${shared.equal} the same`;
  const worst = html` (at most by ${gainText(view, shared.least.gain)}, <bdi>${shared.least.client}</bdi>)`;
  return html` ${shared.better} of ${format.counted(clients, "client")} ${shared.better === 1 ? "does" : "do"} better than with the shared adapter${equal}, ${shared.worse} worse${shared.worse > 0 && worst}.`;
}

function tiles(view: View): Markup {
  const { report, metric } = view;
  return html`<div class="tiles">${view.methods.map((method) => {
    const mean = report.methods[method]?.mean;
    const big =
      metric === "accuracy"
        ? html`${format.percent(mean?.accuracy)}<small> %</small>`
        : html`${format.loss(mean?.loss)}<small> nats</small>`;
    const difference = method === "shared" ? null : (compare(view, method, "shared")?.mean ?? null);
    const over =
      difference !== null &&
      html`<span class="${mood(difference)}">${
        metric === "accuracy"
          ? `${gainCell(view, difference)} vs shared`
          : `${format.loss(Math.abs(difference))} ${difference >= 0 ? "less" : "more"} than shared`
      }</span>`;
    const more = metric === "accuracy" ? html`loss ${format.loss(mean?.loss)}${over && " · "}` : "";
    return html`<div class="tile ${method}"><div class="what" title="${WHAT[method]}">${key(method)}${METHOD_NAMES[method]}</div><div class="big">${big}</div><div class="more">${more}${over}${metric === "loss" && !over && "mean test loss"}</div></div>`;
  })}</div>`;
}

function affinitySection(view: View, data: Record<string, MatrixData>): Markup {
  const { report, order, bounds } = view;
  const n = order.length;
  const raw = new Float64Array(n * n);
  const standard = new Float64Array(n * n);
  order.forEach((i, r) => {
    order.forEach((j, c) => {
      raw[r * n + c] = report.affinity[i]?.[j] ?? Number.NaN;
      standard[r * n + c] = view.standard[i * n + j] ?? 0;
    });
  });
  const names = order.map((i) => report.clients[i] ?? "");
  data.affinity = {
    rows: names,
    columns: names,
    joint: " with ",
    layers: [
      { label: "affinity", values: base64(raw) },
      { label: "standard deviations from its row's mean:", values: base64(standard) },
    ],
  };
  // One far value must not wash out all others.
  const [lo, hi] = [quantile(raw, 0.01), quantile(raw, 0.99)];
  const cell = Math.max(2, Math.min(40, Math.floor((n <= MANY ? 560 : 620) / Math.max(1, n))));
  const bands = bounds.slice(0, -1).map((_, g) => groupName(g));
  const figure = matrixFigure({
    id: "affinity",
    label: `Affinity of ${n} clients, ordered by group`,
    rows: n,
    columns: n,
    images: [
      { name: "standard", positions: standard.map((z) => 0.5 + z / (2 * STANDARD_END)), scale: DIVERGING },
      { name: "raw", positions: raw.map((x) => (hi > lo ? (x - lo) / (hi - lo) : 0.5)), scale: SEQUENTIAL },
    ],
    rowBounds: bounds,
    columnBounds: bounds,
    rowBands: bands,
    columnBands: bands,
    rowNames: names,
    cellWidth: cell,
    cellHeight: cell,
    blocks: true,
  });
  const means = contrast(view);
  const { estimation } = report;
  // Standardising shows noise at full contrast too, so the reader is told how large a step of colour is.
  const scale =
    n > 2 && html` One standard deviation is ${format.significant(spreadOf(report.affinity), 2)} in the median row.`;
  const across =
    means.across !== null &&
    html` With a client of their own group clients fare ${format.signed(means.inside ?? 0, 2)} standard deviations from their mean, with one of another group ${format.signed(means.across, 2)}.`;
  return html`<section id="affinity"><h2>Who helps whom</h2>
<p class="lead">Row i, column j: how client i is estimated to fare after tuning on random sets of clients that hold i and j. Higher is better.${across}${scale}</p>
<div class="split"><figure class="tabs"><input type="radio" name="view" id="view-standard" checked><label for="view-standard">Standardised by row</label><input type="radio" name="view" id="view-raw"><label for="view-raw">As estimated</label>
<div class="panes"><div class="scroll">${figure}</div>
${legend("standard", DIVERGING, [`${format.fixed(-STANDARD_END, 1)} worse than usual`, `+${format.fixed(STANDARD_END, 1)} better`])}
${legend("raw", SEQUENTIAL, [format.significant(lo, 3), format.significant(hi, 3)])}</div>
<figcaption>Clients in the order of the groups found, which are outlined.${n > MANY && " Point at a cell for its clients."}</figcaption></figure>
<div><h3>Estimation</h3>${facts([
    ["Random subsets", `${format.count(estimation.subsets)} of ${format.counted(estimation.subsetSize, "client")}`],
    ["A pair was together", coverage(report)],
    ["Sketched gradient", `${format.count(estimation.dim)} numbers per example`],
    ...factRows(estimation.facts),
  ])}${groupingBlock(view)}</div></div></section>`;
}

function coverage(report: Report): string {
  const { min, mean, max } = report.estimation.pairCoverage;
  return `${format.fixed(mean, 1)} times on average (${format.count(min)} to ${format.count(max)})`;
}

function factRows(record: Readonly<Record<string, Fact>> | undefined): [string, string][] {
  return Object.entries(record ?? {}).map(([name, value]) => [
    name,
    typeof value === "number" ? format.plain(value) : String(value),
  ]);
}

function facts(rows: readonly (readonly [string, string | Markup])[]): Markup {
  return html`<dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

function groupingBlock(view: View): Markup | "" {
  const { candidates, reason, measure } = view.report.grouping;
  if (candidates.length === 0) return "";
  const judged = candidates.filter((candidate) => candidate.judged !== null);
  const plot =
    new Set(judged.map((candidate) => candidate.groups)).size > 2 &&
    trialPlot(
      judged.map((candidate) => ({
        x: candidate.groups,
        y: candidate.judged ?? 0,
        chosen: candidate.chosen,
        label: String(candidate.groups),
        tip: `${candidate.label}\n${format.counted(candidate.groups, "group")}: ${format.fixed(candidate.judged, 4)}${candidate.chosen ? "\nchosen" : ""}`,
      })),
      {
        x: "groups",
        y: "judged worth",
        logarithmic: false,
        joined: false,
        label: "Worth of partitions by number of groups",
      },
    );
  const rows = candidates.map(
    (candidate) =>
      html`<tr><td class="left">${candidate.label}</td><td>${candidate.groups}</td><td>${format.fixed(candidate.judged, 4)}</td><td class="left">${candidate.chosen ? html`<b class="good">chosen</b>` : ""}</td></tr>`,
  );
  const table = html`<table><thead><tr><th>Partition</th><th>Groups</th><th>Judged</th><th></th></tr></thead><tbody>${rows}</tbody></table>`;
  return html`<h3 id="grouping" class="gap">How the groups were chosen</h3><p>${reason}</p>${plot}
<p class="lead">${measure ? html`Judged by ${measure}; higher is better.` : "Judged by the estimator; higher is better."}</p>${
    candidates.length > 10
      ? html`<details><summary>All ${candidates.length} partitions judged</summary><div class="scroll">${table}</div></details>`
      : html`<div class="scroll">${table}</div>`
  }`;
}

function groupsSection(view: View): Markup {
  const { report, metric, plantedOf } = view;
  const table = contingency(view);
  const confusion = table && confusionTable(view, table);
  const methods = view.methods;
  const index = new Map(report.clients.map((name, i) => [name, i]));
  // A client stands out where most of its group was planted elsewhere.
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
    ? html`<div class="block-row">${list}${strays && html`<figcaption>Outlined: planted elsewhere than most of its group.</figcaption>`}</div>`
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

function clientsSection(view: View): Markup {
  const { report, metric, methods, order } = view;
  const many = report.clients.length > MANY;
  const values = report.clients.flatMap((client) =>
    methods.map((method) => metricOf(scoreOf(report, method, client), metric) ?? Number.NaN),
  );
  const strip = stripOf(values, 250);
  const show = (value: number | null | undefined) =>
    metric === "accuracy" ? format.percent(value) : format.loss(value);
  const lifted = methods.includes("shared") && methods.includes("kindred");
  // A column of equal numbers says nothing.
  const sized = new Set(report.clients.map((client) => at(report.rows, client)?.train)).size > 1;
  const rows = order.map((i) => {
    const client = report.clients[i] ?? "";
    const dots = methods.flatMap((method) => {
      const value = metricOf(scoreOf(report, method, client), metric);
      return value === null ? [] : [{ mark: method, value }];
    });
    const from = metricOf(scoreOf(report, "shared", client), metric);
    const to = metricOf(scoreOf(report, "kindred", client), metric);
    const difference = gain(scoreOf(report, "kindred", client), scoreOf(report, "shared", client), metric);
    const planted = view.plantedOf?.[i];
    const rowsOf = sized ? at(report.rows, client) : undefined;
    return html`<tr><td class="name" title="${client}">${client}</td><td data-sort="${(view.groupOf[i] ?? 0) + 1}">${(view.groupOf[i] ?? 0) + 1}</td>${planted !== undefined && html`<td class="name left">${plantedName(report, planted)}</td>`}${sized && html`<td class="soft" data-sort="${rowsOf?.train ?? ""}">${format.count(rowsOf?.train)}</td>`}<td class="left">${stripRow(strip, dots, from !== null && to !== null ? { from, to, good: (difference ?? 0) >= 0 } : undefined)}</td>${methods.map(
      (method) => {
        const value = metricOf(scoreOf(report, method, client), metric);
        return html`<td data-sort="${value ?? ""}"${method === "kindred" && html` class="strong"`}>${show(value)}</td>`;
      },
    )}${lifted && html`<td data-sort="${difference ?? ""}" class="${mood(difference)}">${gainCell(view, difference)}</td>`}${
      metric === "accuracy" &&
      methods
        .filter((method) => method === "shared" || method === "kindred")
        .map((method) => {
          const value = scoreOf(report, method, client)?.loss;
          return html`<td data-sort="${value ?? ""}" class="soft">${format.loss(value)}</td>`;
        })
    }</tr>`;
  });
  const head = (text: Markup | string, first = "descending", sorted = "") =>
    html`<th data-first="${first}"${sorted !== "" && html` aria-sort="${sorted}"`}><button>${text}</button></th>`;
  const best = metric === "accuracy" ? "descending" : "ascending";
  const scatters = (["shared", "local", "full", "base"] as const)
    .filter((other) => methods.includes(other))
    .slice(0, 2);
  const dotsAgainst = (other: Method): ScatterDot[] =>
    report.clients.flatMap((client) => {
      const x = metricOf(scoreOf(report, other, client), metric);
      const y = metricOf(scoreOf(report, "kindred", client), metric);
      if (x === null || y === null) return [];
      return [
        { x, y, tip: `${client}\nKindred ${metricText(view, y)}\n${METHOD_NAMES[other]} ${metricText(view, x)}` },
      ];
    });
  const unit = metric === "accuracy" ? "test accuracy, %" : "test loss, nats per token";
  const plots =
    methods.includes("kindred") &&
    html`<div class="row">${scatters.map(
      (other) =>
        html`<figure>${scatter(dotsAgainst(other), {
          x: `${METHOD_NAMES[other]}: ${unit}`,
          y: `Kindred: ${unit}`,
          betterAbove: metric === "accuracy",
          label: `Kindred against ${METHOD_NAMES[other]}, one dot per client`,
          percent: metric === "accuracy",
        })}</figure>`,
    )}</div><figcaption class="under">One dot per client; Kindred is better in the shaded half.</figcaption>`;
  const mean = (method: Method) => show(metricOf(report.methods[method]?.mean, metric));
  const meanGain = lifted ? (compare(view, "kindred", "shared")?.mean ?? null) : null;
  return html`<section id="clients"><h2>Every client</h2>
<p class="lead">On test rows that nothing else saw.${metric === "loss" && " These rows have no choices, so there is no accuracy to show."}</p>
${plots}
<div class="tools"><div class="keys">${methods.map((method) => html`<span>${key(method)} ${METHOD_NAMES[method]}</span>`)}<span>${metric === "accuracy" ? "accuracy in %, right is better" : "loss in nats per token, left is better"}</span></div>${many && html`<input type="search" id="filter" placeholder="Filter clients" aria-label="Filter clients by name">`}</div>
<div class="scroll ${many && "tall"}"><table class="clients"><thead><tr>${head("Client", "ascending")}${head("Group", "ascending", "ascending")}${view.plantedOf && html`<th class="left" data-first="ascending"><button>Planted</button></th>`}${sized && head("Train rows")}<th class="left">${stripAxis(strip, metric === "accuracy")}</th>${methods.map((method) => head(METHOD_NAMES[method], best))}${lifted && head("Gain")}${
    metric === "accuracy" &&
    methods
      .filter((method) => method === "shared" || method === "kindred")
      .map((method) => head(`${METHOD_NAMES[method]} loss`, "ascending"))
  }</tr></thead><tbody>${rows}</tbody><tfoot><tr class="total"><td>Mean</td><td></td>${view.plantedOf && html`<td></td>`}${sized && html`<td></td>`}<td></td>${methods.map((method) => html`<td>${mean(method)}</td>`)}${lifted && html`<td class="${mood(meanGain)}">${gainCell(view, meanGain)}</td>`}${
    metric === "accuracy" &&
    methods
      .filter((method) => method === "shared" || method === "kindred")
      .map((method) => html`<td>${format.loss(report.methods[method]?.mean.loss)}</td>`)
  }</tr></tfoot></table></div></section>`;
}

function linesOf(curve: Curve): Line[] {
  return (["train", "validation"] as const).flatMap((kind) => {
    const points = curve.points.flatMap((point) => {
      const y = kind === "train" ? point.trainLoss : point.validationLoss;
      return y === undefined || !Number.isFinite(y) ? [] : [{ x: point.step, y }];
    });
    return points.length > 0 ? [{ kind, points }] : [];
  });
}

function curvesSection(view: View): Markup | "" {
  const { curves } = view.report;
  const drawn = curves.map((curve) => ({ curve, lines: linesOf(curve) })).filter(({ lines }) => lines.length > 0);
  if (drawn.length === 0) return "";
  const values = drawn.flatMap(({ lines }) => lines.flatMap((one) => one.points.map((point) => point.y)));
  const scale = { y: ticks(Math.min(...values), Math.max(...values), 4), width: 260, height: 160 };
  const boosts = new Set(view.report.members.filter((member) => member.kind === "boost").map((member) => member.name));
  const ghost = drawn.find(({ curve }) => curve.name === "shared")?.lines.find((one) => one.kind === "validation");
  return html`<section id="curves"><h2>Loss while training</h2>
<p class="lead">Nats per token, all panels on one scale.</p>
<div class="keys"><span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve validation" x1="0" y1="4" x2="22" y2="4"/></svg>validation</span><span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve train" x1="0" y1="4" x2="22" y2="4"/></svg>training</span>${ghost && html`<span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve ghost" x1="0" y1="4" x2="22" y2="4"/></svg>validation of the shared adapter</span>`}</div>
<div class="panels">${drawn.map(({ curve, lines }) => {
    const shared = curve.name === "shared";
    const behind: Line[] = ghost && !shared && !boosts.has(curve.name) ? [{ ...ghost, kind: "ghost" }] : [];
    const last = (lines.find((one) => one.kind === "validation") ?? lines[0])?.points;
    return html`<div class="${shared && "shared-panel"}"><h3>${curve.name}<span>${format.loss(last?.[0]?.y)} → ${format.loss(last?.at(-1)?.y)}</span></h3>${curvePanel(curve.name, curve.unit, [...behind, ...lines], scale)}</div>`;
  })}</div></section>`;
}

function weightsSection(view: View, data: Record<string, MatrixData>): Markup | "" {
  const { report, order, bounds } = view;
  const members = report.members;
  if (members.length === 0) return "";
  const names = order.map((i) => report.clients[i] ?? "");
  const values = new Float64Array(members.length * order.length);
  let own = 0;
  let total = 0;
  names.forEach((client, c) => {
    const weights = at(report.weights, client);
    const group = view.groupOf[order[c] ?? -1];
    members.forEach((member, m) => {
      const weight = weights?.[m] ?? 0;
      values[m * order.length + c] = weight;
      total += weight;
      if (member.group === group) own += weight;
    });
  });
  const top = Math.max(1, ...values);
  data.weights = {
    rows: members.map((member) => member.name),
    columns: names,
    joint: " for ",
    layers: [{ label: "weight", values: base64(values) }],
  };
  const cell = Math.max(2, Math.min(36, Math.floor(880 / Math.max(1, order.length))));
  const figure = matrixFigure({
    id: "weights",
    label: `Weight of ${members.length} members for ${order.length} clients`,
    rows: members.length,
    columns: order.length,
    images: [{ name: "weight", positions: values.map((x) => x / top), scale: SEQUENTIAL }],
    rowBounds: Array.from({ length: members.length + 1 }, (_, m) => m),
    columnBounds: bounds,
    rowBands: members.map(() => ""),
    columnBands: bounds.slice(0, -1).map((_, g) => groupName(g)),
    rowNames: members.map((member) => member.name),
    cellWidth: cell,
    cellHeight: 22,
    blocks: false,
  });
  return html`<section id="weights"><h2>Ensemble weights</h2>
<p class="lead">How much of each member goes into each client's mix, learned on its validation rows and shrunk towards its own group.${total > 0 && html` ${format.percent(own / total, 0)} % of all weight is on the client's own group.`}</p>
<figure><div class="scroll">${figure}</div>${legend("weight", SEQUENTIAL, ["0", format.significant(top, 2)])}<figcaption>Clients in columns, in the order of the groups; members in rows.</figcaption></figure></section>`;
}

function costSection(view: View): Markup | "" {
  const { report } = view;
  const methods = (Object.keys(METHOD_NAMES) as Method[]).filter((method) => report.cost[method] !== undefined);
  if (methods.length === 0) return "";
  const columns = [
    { name: "Computation", of: "flops", show: format.flops },
    { name: "Sent by clients", of: "bytesUp", show: format.bytes },
    { name: "Sent to clients", of: "bytesDown", show: format.bytes },
    { name: "Time", of: "wallSeconds", show: format.duration },
  ] as const;
  const largest = columns.map((column) => Math.max(...methods.map((method) => report.cost[method]?.[column.of] ?? 0)));
  return html`<section id="cost"><h2>What it cost</h2>
<p class="lead">Operations counted from the graphs, sketching and sweeps included; bytes on the wire.</p>
<div class="scroll"><table><thead><tr><th>Method</th>${columns.map((column) => html`<th class="left" colspan="2">${column.name}</th>`)}</tr></thead><tbody>${methods.map(
    (method) =>
      html`<tr><td>${key(method)} ${METHOD_NAMES[method]}</td>${columns.map((column, c) => {
        const value = report.cost[method]?.[column.of] ?? 0;
        return html`<td>${column.show(value)}</td><td class="left">${bar(largest[c] ? value / largest[c] : 0, method)}</td>`;
      })}</tr>`,
  )}</tbody></table></div></section>`;
}

function sweepSection({ report }: View): Markup | "" {
  const { full } = report;
  const own = full !== undefined && full.sweep.length > 0;
  if (report.sweep.length === 0 && !own) return "";
  const adapters = html`<p class="lead">Chosen by pooled validation loss of a short run of the shared adapter; it serves every method with adapters alike.</p>${sweepRow(report)}`;
  return html`<section id="sweep"><h2>Learning rate</h2>
${report.sweep.length > 0 && adapters}${own && html`<p class="lead">Training all weights, which bear smaller steps:</p>${sweepRow(full)}`}</section>`;
}

function sweepRow({ sweep, learningRate }: Pick<Report, "sweep" | "learningRate">): Markup {
  const chosen = (rate: number) => Math.abs(rate - learningRate) <= 1e-9 * learningRate;
  const finite = sweep.filter((trial) => trial.validationLoss !== null && trial.learningRate > 0);
  const plot =
    finite.length > 1 &&
    trialPlot(
      finite.map((trial) => ({
        x: trial.learningRate,
        y: trial.validationLoss ?? 0,
        chosen: chosen(trial.learningRate),
        label: rateText(trial.learningRate),
        tip: `learning rate ${rateText(trial.learningRate)}\nvalidation loss ${format.fixed(trial.validationLoss, 4)}`,
      })),
      {
        x: "learning rate",
        y: "validation loss",
        logarithmic: true,
        joined: true,
        label: "Validation loss by learning rate",
      },
    );
  return html`<div class="row">${plot}<div class="scroll"><table><thead><tr><th>Learning rate</th><th>Validation loss</th><th></th></tr></thead><tbody>${sweep.map(
    (trial) =>
      html`<tr><td>${rateText(trial.learningRate)}</td><td>${trial.validationLoss === null ? "diverged" : format.fixed(trial.validationLoss, 4)}</td><td class="left">${chosen(trial.learningRate) && html`<b class="good">chosen</b>`}</td></tr>`,
  )}</tbody></table></div></div>`;
}

function rateText(rate: number): string {
  return rate >= 0.01
    ? String(Number(rate.toPrecision(3)))
    : Number(rate.toPrecision(3)).toExponential().replace("-", "−");
}

function faultsSection(view: View): Markup | "" {
  const { faults } = view.report;
  if (faults.length === 0) return "";
  const shown = faults.slice(0, 200);
  return html`<section id="faults"><h2>Faults</h2><p class="lead">${format.counted(faults.length, "fault")}. Each concerns one client; the run went on without what it could not do.</p>
<div class="scroll"><table><thead><tr><th>Client</th><th class="left">Stage</th><th class="left">What happened</th></tr></thead><tbody>${shown.map((fault) => html`<tr><td class="name">${fault.client}</td><td class="left">${fault.stage}</td><td class="left">${fault.message}</td></tr>`)}</tbody></table></div>${faults.length > shown.length && html`<p class="lead">The rest is in report.json.</p>`}</section>`;
}

function reproduceSection(view: View): Markup {
  const { report } = view;
  const { model } = report;
  return html`<section id="reproduce"><h2>How to make this run again</h2>
${report.command !== undefined && html`<pre>${report.command}</pre><br>`}
<div class="row">${facts([
    ["Model", model.name],
    ...(model.parameters === undefined ? [] : ([["Parameters", format.count(model.parameters)]] as [string, string][])),
    ...(model.hash === undefined ? [] : ([["Model hash", model.hash]] as [string, string][])),
    ...factRows(model.facts),
    ["Seed", String(report.seed)],
    ["Learning rate", rateText(report.learningRate)],
    ...(report.full === undefined
      ? []
      : ([["Learning rate of all weights", rateText(report.full.learningRate)]] as [string, string][])),
  ])}${facts([...Object.entries(report.versions), ["Peak memory", format.bytes(report.peakRssBytes)]])}</div>
<details open><summary>Configuration</summary><br><pre>${JSON.stringify(report.config, null, 2) ?? ""}</pre></details></section>`;
}

/** The whole page. @returns a document of HTML, the same for the same report */
export function renderReport(report: Report): string {
  const view = viewOf(report);
  const data: Record<string, MatrixData> = {};
  const sections: readonly (readonly [string, string, Markup | ""])[] = [
    ["affinity", "Affinity", affinitySection(view, data)],
    ["groups", "Groups", groupsSection(view)],
    ["clients", "Clients", clientsSection(view)],
    ["curves", "Curves", curvesSection(view)],
    ["weights", "Weights", weightsSection(view, data)],
    ["cost", "Cost", costSection(view)],
    ["sweep", "Learning rate", sweepSection(view)],
    ["stages", "Stages", stagesSection(view.report)],
    ["faults", "Faults", faultsSection(view)],
    ["reproduce", "Reproduce", reproduceSection(view)],
  ];
  const top = html`<h1>${report.title}</h1>
<p class="meta"><span><b>${format.count(report.clients.length)}</b> clients</span><span><b>${report.groups.length}</b> ${report.groups.length === 1 ? "group" : "groups"}</span><span><b>${report.members.length}</b> ${report.members.length === 1 ? "model" : "models"} in the ensemble</span><span>base model <b>${report.model.name}</b></span><span>seed <b>${report.seed}</b></span></p>
${finding(view)}
${tiles(view)}`;
  return pageOf({
    title: report.title,
    top,
    sections: sections.flatMap(([id, name, body]) => (body === "" ? [] : [{ id, name, body }])),
    footer: "The same numbers are in report.json beside this page.",
    data,
  });
}
