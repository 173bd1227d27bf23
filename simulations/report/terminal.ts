/**
 * The report in a terminal: the affinity as a heatmap ordered by group, groups found against planted, loss curves, result and cost per
 * method, the clients, and the gain of Kindred. Without colour it is plain text of the same layout with shades for colours and without
 * escape sequences. Control characters are stripped from names.
 */
import * as format from "../../shared/base/format.js";
import { columnsOf, fit, printable } from "../../shared/base/terminal.js";
import { beside, curveLines, groupLines } from "./terminal/beside.js";
import { type Brush, brushOf } from "./terminal/brush.js";
import { heatmap, SIDE_COLUMNS, SIDE_GAP } from "./terminal/heatmap.js";
import { clientLines, closing, EXTREMES, FRAME, MOST_CLIENTS, methodLines } from "./terminal/tables.js";
import type { Report } from "./types.js";
import { type View, viewOf } from "./views.js";

export interface TerminalOptions {
  /** 256-colour escape sequences; false where stdout is not a terminal or NO_COLOR is set. */
  readonly color: boolean;
  /** Columns of the terminal. @default 80 */
  readonly width?: number;
  /** Rows to keep within where clients are too many to be listed in full. @default as many as everything needs */
  readonly rows?: number | undefined;
  /** Path of the file with all clients, as the user would write it. */
  readonly file?: string | undefined;
}

/** The summary, lines ending in "\n". */
export function terminalReport(report: Report, { color, width = 80, rows, file }: TerminalOptions): string {
  const columns = Math.max(40, Math.min(width, 140));
  const view = viewOf(report);
  const brush = brushOf(color);
  const title = brush.bold(printable(report.title));
  const facts = `${format.counted(report.clients.length, "client")}, ${format.counted(report.groups.length, "group")}, model ${printable(report.model.name)}, seed ${report.seed}`;
  const top = [title, brush.dim(facts)];
  const below = [methodLines(view, brush), faultLines(report, brush, columns), closing(view, brush)];
  const clients = (extremes: number) => clientLines(view, brush, { width: columns, extremes, file });
  const many = report.clients.length > MOST_CLIENTS;
  if (rows === undefined || !many)
    return textOf([top, affinityLines(view, brush, columns), clients(EXTREMES), ...below]);
  const room = rows - heightOf([top, ...below]) - 1;
  const table = clients(Math.min(EXTREMES, Math.max(1, Math.floor((room - FRAME) / 2))));
  const affinity = affinityLines(view, brush, columns);
  return textOf([top, ...(affinity.length + 1 <= room - table.length ? [affinity] : []), table, ...below]);
}

/** Blocks with a blank line between them. */
const linesOf = (blocks: readonly (readonly string[])[]): string[] =>
  blocks.filter((block) => block.length > 0).flatMap((block, k) => (k === 0 ? block : ["", ...block]));

const heightOf = (blocks: readonly (readonly string[])[]): number => linesOf(blocks).length;

const textOf = (blocks: readonly (readonly string[])[]): string =>
  linesOf(blocks)
    .map((text) => `${text.trimEnd()}\n`)
    .join("");

/** The heatmap, with groups and loss curves beside it or below. */
function affinityLines(view: View, brush: Brush, columns: number): string[] {
  const map = heatmap(view, brush, columns);
  const room = columns - Math.max(...map.map(columnsOf)) - SIDE_GAP;
  const side = (width: number): string[] => {
    const curves = curveLines(view, brush, width);
    return [...groupLines(view, brush, width), ...(curves.length > 0 ? ["", ...curves] : [])];
  };
  return [
    brush.bold("Affinity") + brush.dim(" of the row's clients with the column's, ordered by group"),
    ...(room >= SIDE_COLUMNS ? beside(map, side(room), SIDE_GAP) : [...map, "", ...side(columns)]),
  ];
}

function faultLines({ faults }: Report, brush: Brush, columns: number): string[] {
  if (faults.length === 0) return [];
  const shown = faults.slice(0, 5).map(({ client, stage, message }) => {
    const text = `  ${printable(client)}, ${printable(stage)}: ${printable(message)}`;
    return fit(text, columns).trimEnd();
  });
  return [
    brush.worse(`${format.counted(faults.length, "fault")}, each of a single client`),
    ...shown,
    ...(faults.length > shown.length ? [brush.dim("  the others are in the report")] : []),
  ];
}
