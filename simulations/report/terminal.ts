/**
 * The report in a terminal: the affinity as a heatmap ordered by group, groups found against planted, loss curves, result and cost per
 * method, the clients, and the gain of Kindred. Without colour it is plain text of the same layout with shades for colours and without
 * escape sequences. Control characters are stripped from names.
 */
import * as format from "../../shared/base/format.js";
import { columnsOf, fit, printable } from "../../shared/base/terminal.js";
import { beside, curveLines, groupLines } from "./terminal/beside.js";
import { brushOf } from "./terminal/brush.js";
import { heatmap, SIDE_COLUMNS, SIDE_GAP } from "./terminal/heatmap.js";
import { clientLines, closing, methodLines } from "./terminal/tables.js";
import type { Report } from "./types.js";
import { viewOf } from "./views.js";

export interface TerminalOptions {
  /** 256-colour escape sequences; false where stdout is not a terminal or NO_COLOR is set. */
  readonly color: boolean;
  /** Columns of the terminal. @default 80 */
  readonly width?: number;
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
      brush.bold("Affinity") + brush.dim(" of the row's clients with the column's, ordered by group"),
      ...(room >= SIDE_COLUMNS ? beside(map, side(room), SIDE_GAP) : [...map, "", ...side(columns)]),
    ],
    clientLines(view, brush, columns),
    methodLines(view, brush),
    report.faults.length > 0
      ? [
          brush.worse(`${format.counted(report.faults.length, "fault")}, each of a single client`),
          ...report.faults
            .slice(0, 5)
            .map((fault) =>
              fit(
                `  ${printable(fault.client)}, ${printable(fault.stage)}: ${printable(fault.message)}`,
                columns,
              ).trimEnd(),
            ),
          ...(report.faults.length > 5 ? [brush.dim("  the others are in the report")] : []),
        ]
      : [],
    closing(view, brush),
  ];
  return `${blocks
    .filter((block) => block.length > 0)
    .map((block) => block.map((text) => text.trimEnd()).join("\n"))
    .join("\n\n")}\n`;
}
