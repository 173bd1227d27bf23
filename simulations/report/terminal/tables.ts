/** The tables of the report in a terminal: a row per method, a row per client, and the result in a sentence. */
import * as format from "../../../shared/base/format.js";
import { aligned, columnsOf, fit, printable, right } from "../../../shared/base/terminal.js";
import { METHODS } from "../types.js";
import { compare, gain, METHOD_NAMES, metricOf, plantedName, scoreOf, type View } from "../views.js";
import type { Brush } from "./brush.js";

/** Largest number of clients listed in full; of more, the smallest and the largest gains are shown. */
export const MOST_CLIENTS = 40;

/** Of many clients, so many of each end at most. */
export const EXTREMES = 8;

/** Lines of a table of many clients beside those of clients. */
export const FRAME = 3;

export interface ClientTable {
  /** Columns of the terminal. */
  readonly width: number;
  /** Of more clients than are listed in full, so many of each end. */
  readonly extremes: number;
  /** Path of the file with all clients, as the user would write it. */
  readonly file?: string | undefined;
}

/** FLOP in GFLOP and bytes in MB: one unit per column, for comparison. */
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

export function methodLines(view: View, brush: Brush): string[] {
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

export function clientLines(view: View, brush: Brush, { width, extremes, file }: ClientTable): string[] {
  const { report, methods, metric, order, plantedOf } = view;
  const gainOf = (i: number) => {
    const name = report.clients[i] ?? "";
    return gain(scoreOf(report, "kindred", name), scoreOf(report, "shared", name), metric);
  };
  const number = (value: number | null) => (metric === "accuracy" ? format.percent(value) : format.loss(value));
  const comparable = methods.includes("kindred") && methods.includes("shared");
  const columns = methods.length + (comparable ? 1 : 0);
  // Narrower columns where names would have no room.
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
  const what = metric === "accuracy" ? unit : "Test loss, nats per token";
  return [
    brush.bold(fit(`${what}; the smallest and the largest gains over shared`, width).trimEnd()),
    head,
    ...sorted.slice(0, extremes).map(row),
    brush.dim(between(sorted.length - 2 * extremes, { width, file })),
    ...sorted.slice(-extremes).map(row),
  ];
}

/** Clients that are not listed, and where they are, in one line. */
function between(clients: number, { width, file }: Pick<ClientTable, "width" | "file">): string {
  const text = `… ${format.counted(clients, "client")} between them`;
  const where = `${text}; all: ${printable(file ?? "")}`;
  return file === undefined || columnsOf(where) > width ? text : where;
}

export function closing(view: View, brush: Brush): string[] {
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
            `${format.counted(shared.better, "client")} better than with the shared adapter, ${shared.worse} worse`,
          ),
        ]
      : []),
  ];
}
