/** The top of the report: the result in sentences, and a tile per method. */
import * as format from "../../../shared/base/format.js";
import { key } from "../figures.js";
import { html, type Markup } from "../markup.js";
import type { MethodName } from "../types.js";
import { compare, METHOD_NAMES, type View } from "../views.js";
import { gainCell, gainText, metricText, mood } from "./values.js";

const WHAT: Readonly<Record<MethodName, string>> = {
  base: "The base model, untuned",
  shared: "One adapter for all clients",
  local: "One adapter per client",
  full: "All weights, by all clients together",
  kindred: "Adapters by group, boosted and mixed",
};

/** The result in one or two sentences, gains and losses alike. */
export function finding(view: View): Markup {
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
  const against = (other: MethodName, text: string): string | undefined => {
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

/** The distribution of the gain over the shared adapter, in a sentence. */
function spread(view: View): Markup | "" {
  const shared = compare(view, "kindred", "shared");
  if (!shared?.least) return "";
  const clients = shared.better + shared.equal + shared.worse;
  if (shared.better === clients) return html` Every client does better than with the shared adapter.`;
  if (shared.equal === clients) return html` Every client does as well as with the shared adapter.`;
  const equal = shared.equal > 0 && `, ${shared.equal} the same`;
  const worst = html` (by at most ${gainText(view, shared.least.gain)}, <bdi>${shared.least.client}</bdi>)`;
  return html` ${shared.better} of ${format.counted(clients, "client")} ${shared.better === 1 ? "does" : "do"} better than with the shared adapter${equal}, ${shared.worse} worse${shared.worse > 0 && worst}.`;
}

export function tiles(view: View): Markup {
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
