/** The report's section on the estimate: its facts, and each client's estimated loss against the measured one. */
import * as format from "../../../shared/base/format.js";
import { scatter } from "../figures/plots.js";
import { html, type Markup } from "../markup.js";
import { at, type Report } from "../types.js";
import type { View } from "../views.js";
import { factRows, facts, folded } from "./values.js";

export function forecastsSection(view: View): Markup {
  const { report } = view;
  const { estimation } = report;
  const rows: [string, string][] = [
    ["Random subsets", `${format.count(estimation.subsets)} of ${format.counted(estimation.subsetSize, "client")}`],
    ["Subsets per pair", coverage(report)],
    ["Sketched gradient", `${format.count(estimation.dim)} numbers per example`],
    ...(estimation.standardError == null
      ? []
      : ([
          [
            "Standard error of an affinity",
            `${format.significant(estimation.standardError, 2)} nats, by the choice of subsets`,
          ],
        ] as [string, string][])),
    ...factRows(estimation.facts),
  ];
  return folded(
    "estimate",
    "Estimated against measured",
    "what was estimated before training, client by client",
    html`<div class="row">${plots(view)}<div><h3>The estimate</h3>${facts(rows)}</div></div>`,
  );
}

function coverage({ estimation }: Report): string {
  const { min, mean, max } = estimation.pairCoverage;
  return `${format.fixed(mean, 1)} on average (${format.count(min)} to ${format.count(max)})`;
}

function plots({ report, groupOf }: View): Markup | "" {
  const { forecasts, clients } = report;
  if (forecasts === undefined) return "";
  const dots = (key: "loss" | "accuracy", text: (value: number) => string) =>
    clients.flatMap((client, i) => {
      const of = at(forecasts.clients, client)?.[key];
      if (of === undefined) return [];
      const tip = `${client}\nestimated ${text(of.estimated)}, measured ${text(of.measured)}`;
      return [{ x: of.estimated, y: of.measured, tip, group: groupOf[i] }];
    });
  const accuracies = dots("accuracy", (value) => `${format.percent(value)} %`);
  const loss = scatter(dots("loss", format.loss), {
    x: "estimated loss, nats per answer",
    y: "Measured loss, nats per answer",
    label: "Measured against estimated loss, one dot per client",
    percent: false,
  });
  const accuracy = scatter(accuracies, {
    x: "estimated accuracy, %",
    y: "Measured accuracy, %",
    label: "Measured against estimated accuracy, one dot per client",
    percent: true,
  });
  return html`<figure>${loss}<figcaption>One dot per client, in its group's colour; on the line the estimate is exact. The estimate is of the group's adapter alone, on validation rows; measured is Kindred's mixture on test rows. Rows without choices count per token.</figcaption></figure>${accuracies.length > 0 && html`<figure>${accuracy}</figure>`}`;
}
