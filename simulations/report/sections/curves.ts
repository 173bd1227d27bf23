/** The report's section on loss curves. */
import * as format from "../../../shared/base/format.js";
import { curvePanel, type Line } from "../figures.js";
import { html, type Markup } from "../markup.js";
import type { Curve } from "../types.js";
import { ticks, type View } from "../views.js";

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
  const { curves } = view.report;
  const drawn = curves.map((curve) => ({ curve, lines: linesOf(curve) })).filter(({ lines }) => lines.length > 0);
  if (drawn.length === 0) return "";
  const values = drawn.flatMap(({ lines }) => lines.flatMap((one) => one.points.map((point) => point.y)));
  const scale = { y: ticks(Math.min(...values), Math.max(...values), 4), width: 260, height: 160 };
  const boosts = new Set(view.report.members.filter((member) => member.kind === "boost").map((member) => member.name));
  const ghost = drawn.find(({ curve }) => curve.name === "shared")?.lines.find((one) => one.kind === "validation");
  return html`<section id="curves"><h2>Loss during training</h2>
<p class="lead">Nats per token, all panels on one scale.</p>
<div class="keys"><span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve validation" x1="0" y1="4" x2="22" y2="4"/></svg>validation</span><span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve train" x1="0" y1="4" x2="22" y2="4"/></svg>training</span>${ghost && html`<span><svg class="swatch" width="22" height="8" aria-hidden="true"><line class="curve ghost" x1="0" y1="4" x2="22" y2="4"/></svg>validation of the shared adapter</span>`}</div>
<div class="panels">${drawn.map(({ curve, lines }) => {
    const shared = curve.name === "shared";
    const behind: Line[] = ghost && !shared && !boosts.has(curve.name) ? [{ ...ghost, kind: "ghost" }] : [];
    const last = (lines.find((one) => one.kind === "validation") ?? lines[0])?.points;
    return html`<div class="${shared && "shared-panel"}"><h3>${curve.name}<span>${format.loss(last?.[0]?.y)} → ${format.loss(last?.at(-1)?.y)}</span></h3>${curvePanel(curve.name, curve.unit, [...behind, ...lines], scale)}</div>`;
  })}</div></section>`;
}
