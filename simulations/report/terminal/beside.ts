/** The text beside the heatmap: groups found against planted, and loss curves. */
import * as format from "../../../shared/base/format.js";
import { columnsOf, fit, printable, right } from "../../../shared/base/terminal.js";
import type { Curve } from "../types.js";
import { contingency, groupName, plantedName, type View } from "../views.js";
import type { Brush } from "./brush.js";

/** Two blocks of lines side by side. */
export function beside(left: readonly string[], second: readonly string[], gap: number): string[] {
  const width = Math.max(0, ...left.map(columnsOf));
  return Array.from({ length: Math.max(left.length, second.length) }, (_, k) => {
    const text = left[k] ?? "";
    return second[k] ? text + " ".repeat(width - columnsOf(text) + gap) + second[k] : text;
  });
}

export function groupLines(view: View, brush: Brush, width: number): string[] {
  const { report } = view;
  const table = contingency(view);
  const lines: string[] = [];
  if (!report.planted || !table) {
    lines.push(brush.bold(format.counted(report.groups.length, "group")));
    const room = Math.max(12, width - 10);
    report.groups.slice(0, 12).forEach((group, g) => {
      lines.push(`${fit(groupName(g), 9)} ${fit(group.map(printable).join(", "), room).trimEnd()}`);
    });
    if (report.groups.length > 12) lines.push(brush.dim(`and ${report.groups.length - 12} more`));
    return lines;
  }
  const index = format.fixed(report.planted.adjustedRandIndex, 3);
  lines.push(`${brush.bold("Groups")}: ${report.groups.length} found, ${report.planted.groups.length} planted`);
  lines.push(`adjusted Rand index ${brush.bold(index)}`);
  lines.push("");
  const cell = Math.max(3, String(Math.max(...table.flat())).length + 1);
  const names = report.planted.groups.map((_, p) => printable(plantedName(report, p)));
  const nameWidth = Math.min(Math.max(7, ...names.map(columnsOf)), Math.max(7, width - cell * report.groups.length));
  if (nameWidth + cell * report.groups.length <= width && table.length <= 24) {
    lines.push(brush.dim(fit("planted", nameWidth) + report.groups.map((_, g) => right(String(g + 1), cell)).join("")));
    table.forEach((row, p) => {
      const largest = Math.max(...row);
      const counts = row.map((x) => {
        const text = right(x === 0 ? "·" : String(x), cell);
        return x === 0 ? brush.dim(text) : x === largest ? brush.better(text) : brush.worse(text);
      });
      lines.push(fit(names[p] ?? "", nameWidth) + counts.join(""));
    });
  }
  return lines;
}

const SPARKS = "▁▂▃▄▅▆▇█";

/** A curve in at most `width` characters, on the scale lo..hi. */
function sparkline(values: readonly number[], lo: number, hi: number, width: number): string {
  const count = Math.min(values.length, width);
  return Array.from({ length: count }, (_, k) => {
    const value = values[count > 1 ? Math.round((k * (values.length - 1)) / (count - 1)) : 0] ?? lo;
    return SPARKS[Math.min(7, Math.max(0, Math.round(((value - lo) / (hi - lo || 1)) * 7)))];
  }).join("");
}

function lossesOf(curve: Curve): number[] {
  const validation = curve.points.flatMap((point) => point.validationLoss ?? []);
  return (validation.length > 0 ? validation : curve.points.flatMap((point) => point.trainLoss ?? [])).filter(
    Number.isFinite,
  );
}

export function curveLines(view: View, brush: Brush, width: number): string[] {
  const curves = view.report.curves
    .map((curve) => ({ name: printable(curve.name), values: lossesOf(curve) }))
    .filter((curve) => curve.values.length > 0);
  if (curves.length === 0) return [];
  const all = curves.flatMap((curve) => curve.values);
  const [lo, hi] = [Math.min(...all), Math.max(...all)];
  const shown = curves.slice(0, 12);
  const nameWidth = Math.min(18, Math.max(...shown.map((curve) => columnsOf(curve.name))));
  const room = Math.min(24, Math.max(6, width - nameWidth - 18));
  return [
    brush.bold("Validation loss by round"),
    ...shown.map((curve) => {
      const baseline = (["shared", "full"] as const).find((method) => method === curve.name);
      const paint = baseline === undefined ? brush.better : (text: string) => brush.method(baseline, text);
      const line = paint(sparkline(curve.values, lo, hi, room));
      const ends = `${format.loss(curve.values[0])} → ${format.loss(curve.values.at(-1))}`;
      return `${fit(curve.name, nameWidth)} ${line}${" ".repeat(room - columnsOf(line))} ${brush.dim(ends)}`;
    }),
    ...(curves.length > shown.length ? [brush.dim(`and ${curves.length - shown.length} more`)] : []),
  ];
}
