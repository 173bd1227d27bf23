/** The affinity as a heatmap in a terminal, ordered by group, in characters of one or two columns. */
import * as format from "../../../shared/base/format.js";
import { right } from "../../../shared/base/terminal.js";
import type { View } from "../views.js";
import { type Brush, HEAT_FROM } from "./brush.js";

/** Largest number of cells per side: with more clients a cell is the mean over several. */
const MOST_CELLS = 60;

/** Columns that the text beside the heatmap needs. Where cells of two columns leave less, a cell has one. */
export const SIDE_COLUMNS = 36;

export const SIDE_GAP = 3;

const SHADES = [" ", "·", "░", "▒", "▓", "█"];

/** The character of a standardised value. The shades have no middle. */
function shade(z: number): string {
  return SHADES[Math.min(SHADES.length - 1, Math.max(0, Math.floor((z / 4.5 + 0.5) * SHADES.length)))] ?? " ";
}

interface Cells {
  /** Mean standardised affinity of each pair of cells; undefined: a gap between groups. */
  readonly values: readonly (readonly (number | undefined)[])[];
  /** Group of each row of cells; undefined: a gap. */
  readonly groups: readonly (number | undefined)[];
  readonly perCell: number;
}

/** Cells in the order of the groups, at least one per group, with a gap between groups. */
function cellsOf(view: View, most: number): Cells {
  const n = view.order.length;
  const groups = view.bounds.length - 1;
  // Gaps only where most cells remain for clients.
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

export function heatmap(view: View, brush: Brush, width: number): string[] {
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
    cells.perCell > 1 ? [brush.dim(`${" ".repeat(digits + 1)}${format.fixed(cells.perCell, 1)} clients per cell`)] : [];
  return [...lines, scale, ...coarse];
}
