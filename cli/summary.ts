/** What a finished simulation prints on stdout: the summary, and where its report is. */
import { join } from "node:path";
import { columnsOf } from "../shared/base/terminal.js";
import { terminalReport } from "../simulations/report/terminal.js";
import type { Report } from "../simulations/report/types.js";
import { reportEnding } from "./jobs/endings.js";
import { screen } from "./process.js";

/** @param out the folder as the user named it. @param absolute the same, absolute */
export function simulationText(report: Report, out: string, absolute: string): string {
  const { color, width, rows } = screen();
  const ending = reportEnding(out, absolute);
  const below = ending
    .split("\n")
    .reduce((sum, line) => sum + Math.max(1, Math.ceil(columnsOf(line) / Math.max(1, width))), 0);
  // A blank line above the ending, and the prompt below it.
  const room = rows === undefined ? undefined : rows - below - 2;
  const summary = terminalReport(report, { color, width, rows: room, file: join(out, "clients.csv") });
  return `${summary.trimEnd()}\n\n${ending}`;
}
