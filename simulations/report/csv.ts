/**
 * The report's tables as CSV for spreadsheets and data frames: one row per client, and the affinity matrix. A name that begins
 * like a formula gets an apostrophe in front (the exact name is in report.json).
 */
import { csvText } from "../../shared/base/csv.js";
import { at, type Report } from "./types.js";
import { plantedName, scoreOf, viewOf } from "./views.js";

/** One row per client in the population's order: its group (from 1), rows, loss and accuracy by method, weights by member. */
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
  return csvText([head, ...rows]);
}

/** The affinity in the population's order, with names on both sides: row i holds the affinities of client i. */
export function affinityCsv(report: Report): string {
  return csvText([
    ["client", ...report.clients],
    ...report.clients.map((client, i) => [client, ...(report.affinity[i] ?? [])]),
  ]);
}
