/** The report's section on loss curves. */
import * as format from "../../../shared/base/format.js";
import { linearAxis } from "../figures/axis.js";
import { groupSwatch } from "../figures/marks.js";
import { curvePanel, type Line } from "../figures/plots.js";
import { html, type Markup } from "../markup.js";
import type { Curve } from "../types.js";
import type { View } from "../views.js";

function linesOf(curve: Curve): Line[] {
  return (["train", "validation"] as const).flatMap((kind) => {
    const points = curve.points.flatMap((point) => {
      const y = kind === "train" ? point.trainLoss : point.validationLoss;
      return y === undefined || !Number.isFinite(y) ? [] : [{ x: point.step, y }];
    });
    return points.length > 0 ? [{ kind, points }] : [];
  });
}

export function curvesSection(view: View): Markup | "" {
  const { curves, members } = view.report;
  const drawn = curves.map((curve) => ({ curve, lines: linesOf(curve) })).filter(({ lines }) => lines.length > 0);
  if (drawn.length === 0) return "";
  const points = drawn.flatMap(({ lines }) => lines.flatMap((one) => one.points));
  const up = linearAxis(
    points.map(({ y }) => y),
    { wanted: 4 },
  );
  // Rounds and steps are not one unit: each has an axis for all its panels.
  const acrossBy = (unit: Curve["unit"]) =>
    linearAxis(
      drawn.flatMap(({ curve, lines }) =>
        curve.unit === unit ? lines.flatMap((one) => one.points.map(({ x }) => x)) : [],
      ),
      { wanted: 5 },
    );
  const across = { round: acrossBy("round"), step: acrossBy("step") };
  const groupOf = new Map(members.map(({ name, group }) => [name, group]));
  const boosts = new Set(members.filter(({ kind }) => kind === "boost").map(({ name }) => name));
  const ghost = drawn.find(({ curve }) => curve.name === "shared")?.lines.find((one) => one.kind === "validation");
  const panels = drawn.map(({ curve, lines }) => {
    const behind: Line[] =
      ghost && curve.name !== "shared" && !boosts.has(curve.name) ? [{ ...ghost, kind: "ghost" }] : [];
    const last = (lines.find((one) => one.kind === "validation") ?? lines[0])?.points;
    // A boosting step that was dropped has no member, but its name tells its group.
    const group = groupOf.get(curve.name) ?? groupOf.get(curve.name.replace(/-boost-\d+$/, ""));
    const title = html`<h3><span>${group !== undefined && groupSwatch(group)} ${curve.name}</span><span class="soft">${format.loss(last?.[0]?.y)} → ${format.loss(last?.at(-1)?.y)}</span></h3>`;
    const panel = curvePanel({ title: curve.name, unit: curve.unit, group }, [...behind, ...lines], {
      across: across[curve.unit],
      up,
    });
    return html`<div>${title}${panel}</div>`;
  });
  return html`<section id="curves"><h2>Loss during training</h2>
<p class="lead">Nats per token; all panels on one scale.</p>
<div class="keys">${keyOf("validation", "validation")}${keyOf("train", "training")}${ghost && keyOf("ghost", "validation of the shared adapter")}</div>
<div class="panels">${panels}</div></section>`;
}

const keyOf = (kind: Line["kind"], text: string): Markup =>
  html`<span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve ${kind}" x1="0" y1="4" x2="22" y2="4"/></svg>${text}</span>`;
