/**
 * The report's tables as CSV (RFC 4180) for spreadsheets and data frames: one row a client, and the affinity matrix.
 * Numbers are written in full. Names are quoted where needed; one that a spreadsheet would run as a formula gets an
 * apostrophe in front (the exact name is in report.json).
 */
import { at, type Report } from "./types.js";
import { plantedName, scoreOf, viewOf } from "./views.js";

function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function lines(rows: readonly (readonly (string | number | null | undefined)[])[]): string {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** One row a client in the population's order: its group (from 1), rows, loss and accuracy by method, weights by member. */
export function clientsCsv(report: Report): string {
  const view = viewOf(report);
  const { plantedOf, methods } = view;
  const head = [
    "client",
    "group",
    ...(plantedOf ? ["planted"] : []),
    ...(report.rows ? ["train_rows", "validation_rows", "test_rows"] : []),
    ...methods.flatMap((method) => [`${method}_loss`, `${method}_accuracy`]),
    ...report.members.map((member) => `weight_${member.name}`),
  ];
  const rows = report.clients.map((client, i) => {
    const sizes = at(report.rows, client);
    const weights = at(report.weights, client);
    return [
      client,
      (view.groupOf[i] ?? -1) + 1,
      ...(plantedOf ? [plantedName(report, plantedOf[i] ?? -1)] : []),
      ...(report.rows ? [sizes?.train, sizes?.validation, sizes?.test] : []),
      ...methods.flatMap((method) => {
        const score = scoreOf(report, method, client);
        return [score?.loss, score?.accuracy];
      }),
      ...report.members.map((_, m) => weights?.[m]),
    ];
  });
  return lines([head, ...rows]);
}

/** The affinity in the population's order, names on both sides: row i says how i fares with the column's client. */
export function affinityCsv(report: Report): string {
  return lines([
    ["client", ...report.clients],
    ...report.clients.map((client, i) => [client, ...(report.affinity[i] ?? [])]),
  ]);
}
