/** The report's section on the sweeps of the learning rate. */
import * as format from "../../../shared/base/format.js";
import { trialPlot } from "../figures/plots.js";
import { html, type Markup } from "../markup.js";
import type { Report } from "../types.js";
import type { View } from "../views.js";
import { folded, rateText, scrolling } from "./values.js";

export function sweepSection({ report }: View): Markup | "" {
  const { full } = report;
  const own = full !== undefined && full.sweep.length > 0;
  if (report.sweep.length === 0 && !own) return "";
  const adapters = html`<p class="lead">Chosen by the pooled validation loss of a short training of the shared adapter, for all methods with adapters.</p>${sweepRow(report)}`;
  return folded(
    "sweep",
    "Learning rate",
    `${rateText(report.learningRate)}, chosen among ${report.sweep.length}`,
    html`${report.sweep.length > 0 && adapters}${own && html`<p class="lead">For training all weights, which needs smaller steps:</p>${sweepRow(full)}`}`,
  );
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
        tip: `learning rate ${rateText(trial.learningRate)}\nvalidation loss ${format.fixed(trial.validationLoss, 4)}`,
      })),
      {
        x: "learning rate",
        y: "Validation loss, nats per token",
        logarithmic: true,
        joined: true,
        label: "Validation loss by learning rate",
      },
    );
  const rows = sweep.map(
    (trial) =>
      html`<tr><td>${rateText(trial.learningRate)}</td><td>${trial.validationLoss === null ? "diverged" : format.fixed(trial.validationLoss, 4)}</td><td class="left">${chosen(trial.learningRate) && html`<b>chosen</b>`}</td></tr>`,
  );
  const table = html`<table><thead><tr><th>Learning rate</th><th>Validation loss</th><th class="left">Choice</th></tr></thead><tbody>${rows}</tbody></table>`;
  return html`<div class="row">${plot}${scrolling("Trials of the learning rate", table)}</div>`;
}
