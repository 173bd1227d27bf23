/**
 * The report in a terminal: the affinity as a heatmap ordered by group, groups found against planted, loss curves, what
 * each method reached and cost, the clients, and what Kindred gained. Without colour it is plain text of the same layout
 * with shades for colours and no escape sequence at all. Names are stripped of what could steer a terminal.
 */
import * as format from "../../shared/base/format.js";
import { aligned, columnsOf, fit, type Paint, printable, right, sgr } from "../../shared/base/terminal.js";
import { type Curve, METHODS, type Method, type Report } from "./types.js";
import {
  compare,
  contingency,
  gain,
  groupName,
  METHOD_NAMES,
  metricOf,
  plantedName,
  scoreOf,
  type View,
  viewOf,
} from "./views.js";

export interface TerminalOptions {
  /** 256-colour escape sequences; false where stdout is no terminal or NO_COLOR is set. */
  readonly color: boolean;
  /** Columns that may be used. @default 80 */
  readonly width?: number;
}

/** Heatmaps are not drawn finer than this: a cell is then the mean over several clients. */
const MOST_CELLS = 60;
/** Columns that the text beside the heatmap needs. Where a cell of two columns leaves less, a cell gets one. */
const SIDE_COLUMNS = 36;
const SIDE_GAP = 3;
/** More clients than this are shown as the least and the greatest gains. */
const MOST_CLIENTS = 40;
const EXTREMES = 8;

interface Brush {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly better: Paint;
  readonly worse: Paint;
  readonly method: (method: Method, text: string) => string;
  readonly heat: ((top: number | undefined, bottom: number | undefined) => string) | undefined;
}

/** Orange (worse) over grey to blue (better), of the 256-colour cube. */
const HEAT = [208, 172, 130, 94, 237, 24, 25, 32, 39];
const METHOD_COLOURS: Readonly<Record<Method, number>> = { base: 245, shared: 208, local: 35, full: 133, kindred: 39 };

function brushOf(color: boolean): Brush {
  const same: Paint = (text) => text;
  if (!color) return { bold: same, dim: same, better: same, worse: same, method: (_, text) => text, heat: undefined };
  return {
    bold: sgr("1"),
    dim: sgr("2"),
    better: sgr("38;5;39"),
    worse: sgr("38;5;208"),
    method: (method, text) => sgr(`38;5;${METHOD_COLOURS[method]}`)(text),
    heat: (top, bottom) => {
      if (top === undefined && bottom === undefined) return " ";
      if (top === undefined) return sgr(`38;5;${heatColour(bottom ?? 0)}`)("▄");
      if (bottom === undefined) return sgr(`38;5;${heatColour(top)}`)("▀");
      return sgr(`38;5;${heatColour(top)};48;5;${heatColour(bottom)}`)("▀");
    },
  };
}

/** Standardised values from which each further colour holds, on both sides of the middle one. */
const HEAT_FROM = [0.5, 0.95, 1.4, 1.85];

function heatColour(z: number): number {
  const steps = HEAT_FROM.filter((from) => Math.abs(z) >= from).length;
  return HEAT[HEAT_FROM.length + Math.sign(z) * steps] ?? 0;
}

/** The same for shades, which have no middle. */
function shade(z: number): string {
  return SHADES[Math.min(SHADES.length - 1, Math.max(0, Math.floor((z / 4.5 + 0.5) * SHADES.length)))] ?? " ";
}

const SHADES = [" ", "·", "░", "▒", "▓", "█"];

/** Two blocks of lines next to each other. */
function beside(left: readonly string[], second: readonly string[], gap: number): string[] {
  const width = Math.max(0, ...left.map(columnsOf));
  return Array.from({ length: Math.max(left.length, second.length) }, (_, k) => {
    const text = left[k] ?? "";
    return second[k] ? text + " ".repeat(width - columnsOf(text) + gap) + second[k] : text;
  });
}

interface Cells {
  /** Mean standardised affinity of each pair of cells; undefined is a gap between groups. */
  readonly values: readonly (readonly (number | undefined)[])[];
  /** Group of each row of cells, or undefined in a gap. */
  readonly groups: readonly (number | undefined)[];
  readonly perCell: number;
}

/** Groups keep their place and at least one cell, and have a gap between them. */
function cellsOf(view: View, most: number): Cells {
  const n = view.order.length;
  const groups = view.bounds.length - 1;
  // Gaps only where they leave most cells to the clients.
  const gap = groups <= most / 4;
  const perCell = Math.max(1, n / Math.max(1, most - (gap ? groups - 1 : 0) - (n > most ? groups / 2 : 0)));
  const cells: (readonly number[] | undefined)[] = [];
  const labels: (number | undefined)[] = [];
  for (let g = 0; g < groups; g++) {
    if (g > 0 && gap) {
      cells.push(undefined);
      labels.push(undefined);
    }
    const members = view.order.slice(view.bounds[g], view.bounds[g + 1]);
    const count = Math.max(1, Math.round(members.length / perCell));
    for (let c = 0; c < count; c++) {
      cells.push(
        members.slice(Math.floor((c * members.length) / count), Math.floor(((c + 1) * members.length) / count)),
      );
      labels.push(g);
    }
  }
  const values = cells.map((rows) =>
    cells.map((columns) => {
      if (!rows || !columns) return undefined;
      let sum = 0;
      for (const i of rows) for (const j of columns) sum += view.standard[i * n + j] ?? 0;
      return sum / Math.max(1, rows.length * columns.length);
    }),
  );
  return { values, groups: labels, perCell };
}

function heatmap(view: View, brush: Brush, width: number): string[] {
  const digits = String(view.report.groups.length).length;
  const cells = cellsOf(view, Math.max(4, Math.min(MOST_CELLS, width - digits - 3)));
  const size = cells.values.length;
  const wide = 2 * size + digits + 1 + SIDE_GAP + SIDE_COLUMNS <= width;
  const labelled = new Set<number>();
  const label = (...rows: readonly number[]) => {
    for (const row of rows) {
      const group = cells.groups[row];
      if (group === undefined || labelled.has(group)) continue;
      labelled.add(group);
      return right(String(group + 1), digits);
    }
    return " ".repeat(digits);
  };
  const lines: string[] = [];
  if (wide || !brush.heat) {
    cells.values.forEach((row, r) => {
      const text = row.map((z) => {
        if (z === undefined) return " ";
        if (brush.heat) return brush.heat(z, z).repeat(2);
        return shade(z).repeat(wide ? 2 : 1);
      });
      lines.push(`${brush.bold(label(r))} ${text.join("")}`);
    });
  } else {
    for (let r = 0; r < size; r += 2) {
      const { heat } = brush;
      const text = cells.values[r]?.map((z, c) => heat(z, cells.values[r + 1]?.[c]));
      lines.push(`${brush.bold(label(r, r + 1))} ${text?.join("") ?? ""}`);
    }
  }
  const ramp = [...HEAT_FROM.map((from) => -from).reverse(), 0, ...HEAT_FROM];
  const scale = brush.heat
    ? `${" ".repeat(digits + 1)}${brush.dim("worse ")}${ramp.map((z) => brush.heat?.(z, z)).join("")}${brush.dim(" better")}`
    : `${" ".repeat(digits + 1)}worse [${SHADES.join("")}] better`;
  const coarse =
    cells.perCell > 1 ? [brush.dim(`${" ".repeat(digits + 1)}a cell: ${format.fixed(cells.perCell, 1)} clients`)] : [];
  return [...lines, scale, ...coarse];
}

function groupLines(view: View, brush: Brush, width: number): string[] {
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

function curveLines(view: View, brush: Brush, width: number): string[] {
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

/** FLOP as GFLOP and bytes as MB, in one unit per column so that they compare. */
function inUnits(value: number | undefined, unit: number): string {
  if (value === undefined) return format.fixed(null, 0);
  const scaled = value / unit;
  return scaled === 0
    ? "0"
    : scaled >= 100
      ? format.fixed(scaled, 0)
      : scaled >= 0.01
        ? format.fixed(scaled, 2)
        : "<0.01";
}

function methodLines(view: View, brush: Brush): string[] {
  const { report } = view;
  const methods = METHODS.filter((method) => report.methods[method] || report.cost[method]);
  const head = ["accuracy", "loss", "GFLOP", "MB up", "MB down", "seconds"];
  const rows = methods.map((method) => {
    const mean = report.methods[method]?.mean;
    const cost = report.cost[method];
    const accuracy = mean?.accuracy;
    return [
      METHOD_NAMES[method],
      accuracy == null ? format.fixed(null, 0) : `${format.percent(accuracy)} %`,
      format.loss(mean?.loss),
      inUnits(cost?.flops, 1e9),
      inUnits(cost?.bytesUp, 1e6),
      inUnits(cost?.bytesDown, 1e6),
      format.fixed(cost?.wallSeconds, 1),
    ];
  });
  const [first = [], ...cells] = aligned([["Mean", ...head], ...rows]);
  return [
    brush.dim(first.join("  ")),
    ...cells.map((row, r) => {
      const method = methods[r] ?? "base";
      return row
        .map((text, c) => {
          if (c === 0) return brush.method(method, text);
          return method === "kindred" && c <= 2 ? brush.bold(text) : text;
        })
        .join("  ");
    }),
  ];
}

function clientLines(view: View, brush: Brush, width: number): string[] {
  const { report, methods, metric, order, plantedOf } = view;
  const gainOf = (i: number) => {
    const name = report.clients[i] ?? "";
    return gain(scoreOf(report, "kindred", name), scoreOf(report, "shared", name), metric);
  };
  const number = (value: number | null) => (metric === "accuracy" ? format.percent(value) : format.loss(value));
  const comparable = methods.includes("kindred") && methods.includes("shared");
  const columns = methods.length + (comparable ? 1 : 0);
  // A column less for each where names would have no room.
  const [groupWidth, cell] = 7 + columns * 9 + 8 <= width ? [7, 9] : [6, 8];
  const fixedWidth = groupWidth + columns * cell;
  const origins = report.planted?.groups.map((_, p) => printable(plantedName(report, p))) ?? [];
  const originWidth = Math.min(16, Math.max(7, ...origins.map(columnsOf)));
  const planted = plantedOf && width >= fixedWidth + originWidth + 2 + 14;
  const names = report.clients.map(printable);
  const nameWidth = Math.min(
    Math.max(6, ...names.map(columnsOf)),
    Math.max(6, width - fixedWidth - (planted ? originWidth + 2 : 0)),
    32,
  );
  const row = (i: number) => {
    const client = report.clients[i] ?? "";
    const difference = gainOf(i);
    const cells = methods.map((method) => {
      const text = right(number(metricOf(scoreOf(report, method, client), metric)), cell);
      return method === "kindred" ? brush.bold(text) : text;
    });
    const shown =
      difference === null
        ? format.fixed(null, 0)
        : metric === "accuracy"
          ? format.signed(difference * 100, 1)
          : format.signed(difference, 3);
    const paint =
      difference === null || difference === 0 ? (text: string) => text : difference > 0 ? brush.better : brush.worse;
    const origin = planted ? `  ${fit(origins[plantedOf[i] ?? -1] ?? "", originWidth)}` : "";
    return `${fit(names[i] ?? "", nameWidth)}${right(String((view.groupOf[i] ?? -1) + 1), groupWidth)}${origin}${cells.join("")}${comparable ? paint(right(shown, cell)) : ""}`;
  };
  const unit = metric === "accuracy" ? "Test accuracy, %" : "Test loss, nats per token (gain: less loss)";
  const head = brush.dim(
    `${fit("client", nameWidth)}${right("group", groupWidth)}${planted ? `  ${fit("planted", originWidth)}` : ""}${methods.map((method) => right(METHOD_NAMES[method].toLowerCase(), cell)).join("")}${comparable ? right("gain", cell) : ""}`,
  );
  if (order.length <= MOST_CLIENTS) return [brush.bold(unit), head, ...order.map(row)];
  if (!comparable) return [];
  const sorted = order.filter((i) => gainOf(i) !== null).sort((a, b) => (gainOf(a) ?? 0) - (gainOf(b) ?? 0));
  return [
    brush.bold(unit),
    brush.dim(`the ${EXTREMES} least and the ${EXTREMES} greatest gains of ${order.length} clients`),
    head,
    ...sorted.slice(0, EXTREMES).map(row),
    brush.dim("…"),
    ...sorted.slice(-EXTREMES).map(row),
  ];
}

function closing(view: View, brush: Brush): string[] {
  const { report, metric } = view;
  const mean = report.methods.kindred?.mean;
  if (!mean) return [];
  const value =
    metric === "accuracy" ? `mean accuracy ${format.percent(mean.accuracy)} %` : `mean loss ${format.loss(mean.loss)}`;
  const parts = (["shared", "local"] as const).flatMap((other) => {
    const comparison = compare(view, "kindred", other);
    const difference = comparison?.mean;
    if (difference === null || difference === undefined) return [];
    const size = metric === "accuracy" ? `${format.signed(difference * 100, 1)} points` : format.signed(-difference, 3);
    const paint = difference >= 0 ? brush.better : brush.worse;
    return [`${paint(size)} ${metric === "accuracy" ? "over" : "against"} ${other}`];
  });
  const shared = compare(view, "kindred", "shared");
  return [
    `${brush.method("kindred", brush.bold("Kindred"))}: ${[brush.bold(value), ...parts].join(", ")}`,
    ...(shared
      ? [
          brush.dim(
            `${format.counted(shared.better, "client")} better off than with the shared adapter, ${shared.worse} worse`,
          ),
        ]
      : []),
  ];
}

/** The summary, lines ending in "\n". */
export function terminalReport(report: Report, { color, width = 80 }: TerminalOptions): string {
  const columns = Math.max(40, Math.min(width, 140));
  const view = viewOf(report);
  const brush = brushOf(color);
  const map = heatmap(view, brush, columns);
  const mapWidth = Math.max(...map.map(columnsOf));
  const room = columns - mapWidth - SIDE_GAP;
  const side = (width: number) => {
    const curves = curveLines(view, brush, width);
    return [...groupLines(view, brush, width), ...(curves.length > 0 ? ["", ...curves] : [])];
  };
  const title = brush.bold(printable(report.title));
  const facts = `${format.counted(report.clients.length, "client")}, ${format.counted(report.groups.length, "group")}, model ${printable(report.model.name)}, seed ${report.seed}`;
  const blocks: string[][] = [
    [title, brush.dim(facts)],
    [
      brush.bold("Affinity") + brush.dim(", ordered by group: how the row's clients fare with the column's"),
      ...(room >= SIDE_COLUMNS ? beside(map, side(room), SIDE_GAP) : [...map, "", ...side(columns)]),
    ],
    clientLines(view, brush, columns),
    methodLines(view, brush),
    report.faults.length > 0
      ? [
          brush.worse(`${format.counted(report.faults.length, "fault")}, each of one client`),
          ...report.faults
            .slice(0, 5)
            .map((fault) =>
              fit(
                `  ${printable(fault.client)}, ${printable(fault.stage)}: ${printable(fault.message)}`,
                columns,
              ).trimEnd(),
            ),
          ...(report.faults.length > 5 ? [brush.dim("  the rest is in the report")] : []),
        ]
      : [],
    closing(view, brush),
  ];
  return `${blocks
    .filter((block) => block.length > 0)
    .map((block) => block.map((text) => text.trimEnd()).join("\n"))
    .join("\n\n")}\n`;
}
